"""The rehearsal: a whole load against the stand-in, as an operator would do it, with all that can go wrong."""
