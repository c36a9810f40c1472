"""One user: why a push does not reach a phone, from both APIs or from files."""
