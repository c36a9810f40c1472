"""The loader: what is live beside what is desired, and the plan that makes the one the other."""
