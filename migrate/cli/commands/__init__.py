"""The commands, a module for each or for some that belong together: options in, one call, its result shown.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""
