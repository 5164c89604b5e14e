"""The trained system at work: tracks clips, reconstructs people, makes pictures."""
