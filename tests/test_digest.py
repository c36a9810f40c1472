"""The canonical spelling of JSON: what plans are hashed by, so it never changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.digest import canonical_json

pytestmark = pytest.mark.no_cover
TEXTS = st.text() | st.text(st.characters(categories=["Cs", "Lu"]), max_size=3)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(VALUES)
def test_a_value_is_spelt_as_python_indents_it(value: Any) -> None:
    spelt = canonical_json(value)
    plain = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    assert spelt.encode("utf-8").decode("utf-8") == spelt
    if plain.isascii():
        assert spelt == plain + "\n"
    assert spelt == plain.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def test_what_is_nested_deeply_is_spelt_too() -> None:
    value: Any = 0
    for _ in range(400):
        value = [value]
    assert canonical_json(value) == json.dumps(value, indent=2) + "\n"
