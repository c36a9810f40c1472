"""Digests: how a plan names the exact inputs that it was made from."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


def canonical_json(value: Any) -> str:
    """One spelling for one value: sorted keys, two-space indent, a line break at the end.

    Half of a surrogate pair, which JSON can carry but UTF-8 cannot, stays escaped.
    """
    import msgspec  # which no plan or summary needs before it is written

    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if not _SURROGATES.search(text):  # the same spelling in a quarter of the time: json indents in Python
        return msgspec.json.format(text) + "\n"
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def digest(value: Any) -> str:
    """`sha256:` and the hash of a JSON-like value in its canonical spelling."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()
