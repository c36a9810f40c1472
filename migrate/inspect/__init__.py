"""What lies on the disk: what kind of thing a path is, what it holds, and whether a mapped folder can be loaded."""
