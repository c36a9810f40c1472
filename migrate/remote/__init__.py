"""Folders in object storage: a working copy here, and the store as this copy was a moment ago."""
