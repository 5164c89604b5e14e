"""The terms of Eq. 3, one small pure function each, and their weighted sum."""
