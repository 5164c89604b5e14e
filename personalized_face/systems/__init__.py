"""The forward graph of a paper: images in, `Outputs` out. Systems know no other."""
