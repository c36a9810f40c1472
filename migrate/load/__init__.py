"""The loader: what is live beside what is desired, the plan that makes the one the other, and who has come back."""
