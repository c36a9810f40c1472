"""Documents: what is no JSON, or not of its types, is one line that says where, and never what."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.load.plan_file import read_plan
from migrate.map.mapped_folder import open_mapped
from migrate.model.documents import is_same
from migrate.model.errors import InputError
from migrate.snapshot.manifest import read_manifest
from tests.conftest import Demo, Run

SECRET = "synthetic-secret"


@pytest.fixture
def snapshot(tmp_path: Path, demo: Demo) -> Path:
    return Path(shutil.copytree(demo.folder / "snapshot", tmp_path / "snapshot"))


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("rows",), "1", "rows: expected int, got str"),
        (("rows",), 1.0, "rows: expected int, got float"),
        (("rows",), True, "rows: expected int, got bool"),
        (("chains", 1, "pages"), SECRET, "chains[1].pages: expected int, got str"),
        (("chains", 0, "pages"), -1, "chains[0].pages: not a known value"),
        (("files", 2, SECRET), 5, "files[2]: not a known value"),
        (("files", 0), {"path": "x"}, "files[0]: missing required field rows"),
        (("status",), SECRET, "status: not a known value"),
        (("account_sid",), SECRET, "account_sid: not a known value"),
        (("addresses",), {"chat": 5}, "addresses[...]: expected str, got int"),
        (("clock_ahead",), 10**11, "clock_ahead: not a known value"),
        (("as_of",), SECRET, "as_of: not a time"),
        (("as_of",), "2026-06-15T08:00:00", "as_of: a time without a zone"),
        (("as_of",), "1999-06-15T08:00:00+00:00", "as_of: not a year"),
        (("format_version",), SECRET, "expected int, got str"),
        (("\ud800",), 5, "it is not as it was written"),
    ],
)
def test_a_manifest_is_not_converted_to_fit_and_the_error_says_where(
    snapshot: Path, tmp_path: Path, run: Run, path: tuple[Any, ...], value: Any, problem: str
) -> None:
    content = json.loads((snapshot / "manifest.json").read_bytes())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (snapshot / "manifest.json").write_text(json.dumps(content))
    result = run("map", snapshot, "--out", tmp_path / "mapped")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"its manifest.json cannot be read: {problem}" in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\n{", "it is not JSON, from line 2 on"),
        (b'{"a": "\xff"}', "it is not UTF-8 text"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"rows": ' + b"9" * 5_000 + b"}", "a number is too long"),
        (b"[]", "expected object, got array"),
        (b"{}", "expected int, got null"),
    ],
)
def test_what_is_no_document_says_why(snapshot: Path, run: Run, data: bytes, problem: str) -> None:
    (snapshot / "manifest.json").write_bytes(data)
    result = run("verify", snapshot)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"its manifest.json cannot be read: {problem}" in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_an_editor_may_save_a_manifest_in_any_encoding_of_json(snapshot: Path, encoding: str) -> None:
    text = (snapshot / "manifest.json").read_text("utf-8")
    (snapshot / "manifest.json").write_bytes(text.encode(encoding))
    assert read_manifest(snapshot).status == "finished"


def test_a_repeated_key_counts_once_as_before(snapshot: Path) -> None:
    text = (snapshot / "manifest.json").read_text("utf-8")
    (snapshot / "manifest.json").write_text(text.replace("{", '{"status": "unfinished",', 1), "utf-8")
    assert read_manifest(snapshot).status == "finished"


def test_what_is_no_number_is_equal_to_nothing() -> None:
    assert not is_same(float("nan"), float("nan"))
    assert not is_same({"a": 1}, {"a": True})
    assert is_same({"b": (1,), "a": 2}, {"a": 2, "b": [1]})


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a document."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


_VALUES = st.sampled_from(
    [None, SECRET, "", 0, -1, 1.5, True, [], {}, [SECRET], {SECRET: SECRET}, 10**30, "\ud800", "1", float("inf")]
)


@given(data=st.data())
@settings(max_examples=60)
@pytest.mark.parametrize("name", ["snapshot/manifest.json", "mapped/summary.json", "plan.json"])
def test_whatever_stands_anywhere_in_a_document_it_is_read_or_refused_in_one_line(
    demo: Demo, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    read: Callable[[Path], object] = {
        "snapshot": read_manifest, "mapped": open_mapped, "plan.json": read_plan,
    }[name.partition("/")[0]]  # fmt: skip
    content = copy.deepcopy(demo.json(*name.split("/")))
    path = data.draw(st.sampled_from(sorted(places(content), key=repr)))
    place = content
    for key in path[:-1]:
        place = place[key]
    former, place[path[-1]] = place[path[-1]], data.draw(_VALUES)
    folder = tmp_path_factory.mktemp("document")
    (folder / "push-config.yaml").write_text("format_version: 1\nservices: {}\n")
    file = folder / Path(name).name
    file.write_text(json.dumps(content))
    try:
        read(file if name == "plan.json" else folder)
    except InputError as error:
        assert SECRET not in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert name != "plan.json" or is_same(place[path[-1]], former)
