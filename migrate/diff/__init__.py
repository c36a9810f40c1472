"""Diff: what has changed between two snapshots, two mapped folders or two plans. Offline."""
