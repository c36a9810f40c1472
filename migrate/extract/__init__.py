"""The extractor: chains of pages, side by side, into a snapshot that can be resumed."""
