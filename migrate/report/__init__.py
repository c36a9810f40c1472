"""Views of manifests, summaries and plans. They compute nothing, fetch nothing, and write no file."""
