"""Triangles to pictures: camera, rasterize, interpolate, shade. Knows no faces."""
