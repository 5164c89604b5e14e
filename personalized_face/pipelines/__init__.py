"""What one command strings together."""
