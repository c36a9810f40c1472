"""How work runs: side by side, and stopped in one way. It knows nothing of what the work is."""
