"""Training: stages, the trainer's loop, checkpoints, summaries, held-out evaluation."""
