"""Documents are read from several threads at once: the first look at a type crashes the process where it is not alone."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

# A type is looked at once in a process, so each round has types of its own: one that several others have in common.
# Without the lock of `decode`, msgspec ended the process by a segmentation fault within 20 rounds, in each of 30 runs.
PROGRAM = """
import sys, threading
from collections.abc import Mapping
from typing import Annotated, Literal
from msgspec import Meta, defstruct
from migrate.model.documents import decode

sys.setswitchinterval(1e-6)
content = {"state": "b", "number": 1, "figures": {"rows": 1}}
for number in range(100):
    fields = [("state", Literal["a", "b"]), ("number", Annotated[int, Meta(ge=0)]), ("figures", Mapping[str, int | str])]
    inner = defstruct(f"Inner{number}", fields, frozen=True, forbid_unknown_fields=True)
    outers = [
        defstruct(f"Outer{number}{side}", [("all", Mapping[str, inner]), ("one", inner | None)], frozen=True)
        for side in range(2)
    ]
    together, found = threading.Barrier(8), []

    def read(place):
        together.wait()
        outer = outers[place % 2]
        found.append(decode({"all": {"x": content}, "one": content}, outer).one == decode(content, inner))

    threads = [threading.Thread(target=read, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8, found
print("read")
"""


def test_threads_that_read_a_type_for_the_first_time_at_once_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
