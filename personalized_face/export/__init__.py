"""What leaves the program: SavedModel, OBJ, motion tables, retargeted video."""
