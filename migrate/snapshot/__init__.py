"""The snapshot on disk: written so that it can be killed at any instant, and proved when it is read."""
