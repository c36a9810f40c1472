"""Secrets that are planted, and looked for in all that a run leaves behind or says, in whatever form."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq


def forms(secret: str, *names: str) -> set[str]:
    """A secret as it is, backwards, quoted for an address, JSON or HTML, in hexadecimal, and in base64: alone, after
    each of the `names` (as Basic authentication has it), and in the middle of something else.
    """
    data = secret.encode()
    found = {secret, secret[::-1], quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    found |= {html.escape(secret), repr(secret)[1:-1], data.hex(), base64.b64encode(data).decode()}
    for name in names:
        whole = f"{name}:{secret}".encode()
        found |= {base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode()}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        found.add(encoded[(0, 2, 3)[before] : (before + len(data)) * 8 // 6])
    return found


def assert_hidden(secrets: Mapping[str, Collection[str]], folder: Path, *told: str) -> None:
    """Neither a file's content, nor its name, nor what was said holds one of the secrets; each has its names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    wanted = {form for secret, names in secrets.items() for form in forms(secret, *names)}
    for path in files:
        content = _content(path) + str(path)
        assert not [form for form in wanted if form in content], path
    for text in told:
        assert not [form for form in wanted if form in text]


def _content(path: Path) -> str:
    """What a file holds, also what is compressed in it."""
    content = path.read_bytes().decode("latin-1")
    if path.suffix == ".parquet":
        content += str(pq.ParquetFile(path).read().to_pydict())
    return content
