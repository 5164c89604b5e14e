"""ModelNet and TrackNet: images to raw maps and vectors."""
