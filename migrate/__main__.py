"""`chat-migrate`, and `python -m migrate`: the signals first, and then the rest of the program."""

from __future__ import annotations

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which ends it without a traceback until `install` is there

from migrate.runtime.interrupts import INTERRUPTED, install, leave, saying


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    install()
    code: object
    try:
        from migrate.cli.app import main as run

        run()
        code = 0
    except KeyboardInterrupt:  # before a command was there to say more
        with saying():
            print("Error: Interrupted", file=sys.stderr)  # noqa: T201  # click may not be there yet
        code = INTERRUPTED
    except SystemExit as end:
        code = end.code
    sys.exit(leave(code if isinstance(code, int) else int(code is not None)))


if __name__ == "__main__":
    main()
