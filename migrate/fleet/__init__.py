"""A fleet: the stages for many accounts, side by side, each into a folder of its own."""
