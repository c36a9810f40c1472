"""Ctrl-C, SIGTERM and a closed terminal: the one way in which the program is stopped, at whatever step it is.

The first signal raises KeyboardInterrupt in the main thread. A second thread hears of the same signal even while the
main thread is inside a library or a system call (`signal.set_wakeup_fd`): it stops what has registered with
`stopped_by`, wakes the main thread, and ends the process after `GRACE` seconds whatever still hangs. A second signal
ends it at once. Either way the exit code is 130, after one line that says what is kept and how to resume.

Only the command line installs this (`install`); a notebook keeps its own signal handlers.
"""

from __future__ import annotations

import _thread
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from migrate.model.errors import InterruptedRunError, MigrateError, Remedy, reason_of

INTERRUPTED = 130  # the exit code
HEED = 0.2  # seconds after which a wait looks up: a signal that reaches another thread does not end it
GRACE = 3.5  # seconds from the first signal to the end of the process, at most
# Seconds within which two signals are one: GNU `timeout` sends each to the process, and to its group.
_SAME = 0.25
# Windows has no SIGHUP.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
Telling = Callable[[MigrateError], MigrateError]

_stops: list[tuple[int, Callable[[], None]]] = []  # each with the thread that it is of
_tellings: list[tuple[int, Telling]] = []  # each with the thread that it is of; the innermost last
_voice = threading.Lock()  # of whoever shows the last line


@dataclass
class _State:
    """What has become of this process."""

    installed: bool = False
    raised: bool = False  # KeyboardInterrupt, in the main thread
    stopping: bool = False
    said: bool = False  # the last line
    code: int | None = None  # with which the command has ended


_state = _State()


def install() -> None:
    """Take over the signals that ask this process to end. Call it in the main thread; a second call does nothing."""
    if _state.installed:
        return
    _state.installed = True
    sys.unraisablehook = _unraisable
    heard, told = os.pipe()
    if hasattr(os, "set_blocking"):  # not on Windows, before Python 3.12
        os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signals = queue.SimpleQueue[int]()
    threading.Thread(target=_listen, args=(heard, signals), name="signals", daemon=True).start()
    threading.Thread(target=_watch, args=(signals,), name="interrupts", daemon=True).start()
    for number in _SIGNALS:
        # What is ignored stays ignored, as nohup, or a shell for its background jobs, has it.
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, _raise_once)


def _raise_once(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, once for the process: what cleans up afterwards is not interrupted in turn."""
    if not _state.raised and _state.code is None:
        _state.raised = True
        raise KeyboardInterrupt


def is_stopping() -> bool:
    """Whether the process was asked to end."""
    return _state.stopping or _state.raised


def check() -> None:
    """Raise `InterruptedRunError` where the process was asked to end; for the loops of threads."""
    if _state.stopping:
        raise InterruptedRunError("Interrupted")


@contextmanager
def stopped_by(stop: Callable[[], None]) -> Iterator[None]:
    """Have `stop` called when the process is asked to end within; from another thread, so that it must not block."""
    entry = threading.get_ident(), stop
    _stops.append(entry)
    try:
        yield
    finally:
        _stops.remove(entry)


@contextmanager
def resumable(
    *,
    what: Callable[[], str] = lambda: "",
    kept: str | Callable[[], str],
    remedy: Remedy,
    cannot: Callable[[OSError], str] | None = None,
) -> Iterator[None]:
    """Where the run is stopped within, say what is kept and how to resume; what was said further in stands.

    `what` and `kept` are asked for when it happens. An `InterruptedRunError` takes the place of a KeyboardInterrupt.
    With `cannot`, which says what an `OSError` within has kept from being done, a `MigrateError` takes its place.
    """

    def kept_now() -> str:
        return kept if isinstance(kept, str) else kept()

    def tell(error: MigrateError) -> MigrateError:
        if error.remedy:
            return error
        return InterruptedRunError(what() or error.what, kept=kept_now(), remedy=remedy)

    try:
        with telling(tell):
            yield
    except OSError as error:
        if cannot is None:
            raise
        raise MigrateError(f"{cannot(error)}: {reason_of(error)}", kept=kept_now(), remedy=remedy) from error


@contextmanager
def telling(tell: Telling) -> Iterator[None]:
    """Have `tell` say more about whatever stops the run within: it turns an error into the one to raise."""
    entry = threading.get_ident(), tell
    _tellings.append(entry)
    try:
        yield
    except KeyboardInterrupt:
        raise tell(InterruptedRunError("Interrupted")) from None
    except InterruptedRunError as error:
        told = tell(error)
        if told is error:
            raise
        raise told from None
    except Exception as error:
        # What a library made of a KeyboardInterrupt, or of a connection that was closed.
        if not is_stopping() or isinstance(error, MigrateError):
            raise
        raise tell(InterruptedRunError("Interrupted")) from error
    finally:
        _tellings.remove(entry)


@contextmanager
def saying() -> Iterator[None]:
    """Show the last line within: a forced end waits a moment for it, and then says nothing more."""
    with _voice:
        yield
        _state.said = True


def leave(code: int) -> int:
    """The exit code of a command that is done. After an interruption the process ends here, whatever still runs."""
    _state.code = code
    if is_stopping():
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)
    for number in _SIGNALS:  # all is said, and the interpreter needs milliseconds yet
        signal.signal(number, signal.SIG_IGN)
    return code


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """A KeyboardInterrupt that Python can raise nowhere is no news: the process ends by `GRACE` all the same."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _listen(heard: int, signals: queue.SimpleQueue[int]) -> None:
    """Pass on the signals that ask this process to end. Windows can wait for no pipe with a time limit."""
    while numbers := os.read(heard, 64):
        for number in numbers:
            if number in _SIGNALS:  # others have handlers of somebody else
                signals.put(number)


def _watch(signals: queue.SimpleQueue[int]) -> None:
    """Wait for the first signal, stop everything, and end the process at the second or when its time is up."""
    number = signals.get()
    began = time.monotonic()
    _state.stopping = True
    if _state.code is None:
        threading.Thread(target=stop_all, name="stop", daemon=True).start()
        _wake_main_thread(number)
        while (left := began + GRACE - time.monotonic()) > 0:
            with suppress(queue.Empty):
                signals.get(timeout=left)
                if time.monotonic() > began + _SAME:
                    break
    _end()


def _wake_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:  # Windows, where a wait in a system call is not cut short
        _thread.interrupt_main(signal.Signals(number))


def stop_all(threads: Collection[int] | None = None) -> None:
    """Stop what is to be stopped when the process is asked to end: all of it, or what some threads have under way.

    `threads` are identifiers as `threading.get_ident` gives them.
    """
    for thread, stop in [*_stops]:
        if threads is None or thread in threads:
            with suppress(Exception):  # the others are to be stopped all the same
                stop()


def _end() -> None:
    """End the process now, after its one line if that was not shown yet."""
    _voice.acquire(timeout=HEED)  # what holds it for longer is blocked
    if not _state.said and _state.code is None:
        error: MigrateError = InterruptedRunError("Interrupted")
        with suppress(Exception):
            main = threading.main_thread().ident  # what other threads do is a part of what it tells
            for thread, tell in reversed([*_tellings]):
                error = tell(error) if thread == main else error
        _write(f"Error: {error}\n")
    os._exit(INTERRUPTED if _state.code is None else _state.code)


def _write(line: str) -> None:
    """Write to standard error, unless that would block."""
    with suppress(Exception):
        if os.isatty(2):  # bars may be under way, which hide the cursor
            line = f"\r\x1b[K\x1b[?25h{line}"
        if not hasattr(signal, "pthread_kill") or select.select([], [2], [], 0)[1]:  # Windows selects sockets alone
            os.write(2, line.encode(sys.stderr.encoding, "backslashreplace"))
