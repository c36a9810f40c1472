"""A fleet: the stages for many accounts."""
