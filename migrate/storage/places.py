"""Folders at URLs: where each is worked on in this machine, and what its URL is.

`s3://bucket/night/snapshot` is worked on in ROOT/s3/bucket/night/snapshot, where ROOT is a private temporary folder
of this process. What lies beside it in the store lies beside it here: a relative way leads to the same in both.
`migrate.remote` brings what is there, and stores what is made.
"""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from migrate.model.errors import UsageError

PREFIX = "chat-migrate-store-"  # of the temporary folder's name
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://(.*)", re.DOTALL)  # of two letters at least: C:// is a Windows drive
_MEANT = re.compile(r"(?:s3a?|gc?s|abfss?|az):/?", re.IGNORECASE)
_SAME = {"s3a": "s3", "gcs": "gs", "abfss": "abfs"}  # two names of one store
_NO_STORES = ("http", "https", "ftp", "file", "local", "data")
_root: Path | None = None
_former: list[Path] = []  # what is said after their end may name them
_bring: Callable[[str], None] | None = None


def is_url(place: object) -> bool:
    """Whether a place is a URL rather than a path, or is meant as one."""
    return isinstance(place, str) and ("://" in place or _MEANT.match(place) is not None)


def tidy(url: str) -> str:
    """A URL in its one form. Raises `UsageError` for one that names no place, or that may hold a secret."""
    found = _URL.fullmatch(url)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", "")
    owner, has_owner, _ = rest.partition("/")[0].rpartition("@")
    if (has_owner and ":" in owner) or "?" in url:
        raise UsageError(
            "A URL must hold no password, and nothing behind a question mark",
            remedy="Give credentials as the store's own tools take them",
        )
    parts = rest.rstrip("/").split("/")
    is_place = rest.isprintable() and not {"", ".", ".."} & {scheme, *parts}
    if not is_place or scheme in _NO_STORES or "::" in url or "\\" in rest:
        raise UsageError(f"{url} names no place in a store", remedy="Name one such as s3://BUCKET/FOLDER")
    return f"{_SAME.get(scheme, scheme)}://{'/'.join(parts)}"


def local_of(url: str) -> Path:
    """Where the file or folder at a URL is worked on; it may not be there. Raises `UsageError` as `tidy` does."""
    scheme, _, rest = tidy(url).partition("://")
    return root().joinpath(scheme, *rest.split("/"))


def url_of(path: Path) -> str | None:
    """The URL of what is worked on at a path; None for a path that is no working copy's."""
    if _root is None or not path.is_relative_to(_root):
        return None
    scheme, *rest = path.relative_to(_root).parts or ("",)
    return f"{scheme}://{'/'.join(rest)}" if rest else None


def root() -> Path:
    """The temporary folder of this process, made when it is first asked for."""
    global _root
    if _root is None:
        _root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    return _root


def known_root() -> Path | None:
    """The temporary folder, if there is one already."""
    return _root


def forget_root() -> None:
    """Have the next one made afresh; whoever calls it has removed the folder, or keeps it."""
    global _root
    if _root:
        _former.append(_root)
    _root = None


def brought_by(bring: Callable[[str], None] | None) -> None:
    """Have this called with the URL of what is looked for, before it is."""
    global _bring
    _bring = bring


def bring(path: Path) -> None:
    """See to it that what is at the URL of a path is there; nothing is done for any other path."""
    url = url_of(path)
    if url and _bring:
        _bring(url)


def working_copies(text: str) -> list[tuple[int, int, str]]:
    """Where in a text places are named that are worked on here: begin and end, and how their URL begins."""
    roots = [f"{root}/" for root in (_root, *_former) if root]
    if not roots:
        return []
    forms = {form for root in roots for form in (root, json.dumps(root)[1:-1], html.escape(root), quote(root))}
    pattern = rf"(?:{'|'.join(map(re.escape, sorted(forms)))})([a-z][a-z0-9+.-]+)/"
    return [(found.start(), found.end(), f"{found[1]}://") for found in re.finditer(pattern, text)]


def shown(text: str) -> str:
    """A text in which what is worked on here goes by its URL."""
    for begin, end, url in reversed(working_copies(text)):
        text = text[:begin] + url + text[end:]
    return text


def way_to(place: Path, folder: Path) -> str:
    """How a file in a folder says where a place is: relative to the folder where both are in one store, or on this
    machine; else the place's URL or path.
    """
    url, other = url_of(place), url_of(folder)
    if _store(url) == _store(other):
        return os.path.relpath(place, folder)
    return url or str(place)


def at_way(way: str, folder: Path) -> Path:
    """The place that `way_to` has named in a file of the folder."""
    return local_of(way) if is_url(way) else (folder / way).resolve()


def _store(url: str | None) -> str | None:
    """The part of a URL that says which store, and which bucket in it."""
    return "/".join(url.split("/")[:3]) if url else None
