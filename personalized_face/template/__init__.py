"""The 3DMM prior: its container, its file format and its attention masks."""
