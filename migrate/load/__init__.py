"""The loader: what is live beside what is desired, the plan between them, its journal, and its rollback."""
