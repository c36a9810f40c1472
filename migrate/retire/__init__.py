"""Retiring: which of Chat's bindings are shown to be replaced, and their deletion, which cannot be undone."""
