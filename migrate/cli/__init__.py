"""The command line: how commands are spelt, what they show, and their exit codes. Nothing else knows of it."""
