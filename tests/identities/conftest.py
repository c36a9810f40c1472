"""Files of identities, and services with bindings of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def content(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


ODD = ["a&b=c", "a+b", "a b", "50%", "%41", "émile 😀", "x" * 5000, " led by a space", "a#b?c/d", "007", "7", "null"]


PEOPLE = [*ODD, *(f"person-{number:04}" for number in range(1, 25, 2)), "nobody", "person-9999"]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.txt"
    path.write_text("".join(f"{each}\n" for each in PEOPLE), "utf-8")
    return path
