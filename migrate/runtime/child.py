"""A child process of `Processes`: runs the jobs that it reads from standard input, and answers on standard output.

It ends as soon as its input does, even in the middle of a job, so it does not outlive its parent.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import signal
import struct
import threading
from typing import IO, Any

_LENGTH = struct.Struct(">Q")


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """Write some bytes so that `read_frame` gives them. Raises `OSError`."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next bytes that were written; None at the end, and where they are cut short."""
    head = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    data = stream.read(length) if length else b""
    return data if length and len(data) == length else None


def answer(job: bytes) -> bytes:
    """Do a job: whether it was done, and its result or its error."""
    try:
        found: tuple[bool, Any] = True, pickle.loads(job)()  # noqa: S301  # from the parent process
    except BaseException as error:
        found = False, error
    try:
        data = pickle.dumps(found)
        pickle.loads(data)  # noqa: S301  # an error need not come out as it went in
    except Exception as error:
        return pickle.dumps((False, RuntimeError(f"{found[1]!r} cannot be passed on: {error}")))
    return data


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent says when to end
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints is no answer
    jobs = queue.SimpleQueue[bytes]()

    def receive() -> None:
        while job := read_frame(source):
            jobs.put(job)
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    gc.freeze()
    while True:
        write_frame(sink, answer(jobs.get()))
