"""The on-disk formats: the snapshot of the source, and the folder that the mapper makes of it."""
