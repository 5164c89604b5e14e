"""Types and small maths that everything else is built on. No gin, no files."""
