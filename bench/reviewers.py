"""What is measured of the review: the first notebook's own cells, and the same questions asked of one DataFrame."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from bench.readers import Reader, Work

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "1-snapshot.ipynb"


def review_snapshot(snapshot: str, folder: Path) -> Work:
    """Every code cell of the notebook, on a snapshot of one's own, with what Jupyter would show of each."""
    import duckdb  # noqa: F401  # what is imported late is imported now: only the work is timed
    import matplotlib.figure  # noqa: F401
    import pandas as pd  # noqa: F401

    import migrate.review.charts
    import migrate.review.snapshot  # noqa: F401

    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    sources[0] = f"SNAPSHOT = {snapshot!r}"

    def work() -> int:
        names: dict[str, Any] = {}
        for source in sources:
            show(source, names)
        return len(names["snapshot"])

    return work


def show(source: str, names: dict[str, Any]) -> None:
    """Run a cell, and render the value of its last line."""
    statements = ast.parse(source).body
    last = statements[-1]
    body = statements[:-1] if isinstance(last, ast.Expr) else statements
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)  # the repository's own notebook
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)  # as above
        render = getattr(value, "_repr_html_", None) or value._repr_png_
        assert render()


def pandas_review(snapshot: str, folder: Path) -> Work:
    """What one would write in ten minutes: the whole snapshot in one DataFrame, grouped by this and that."""
    import pandas as pd

    as_of, year = pd.Timestamp("2026-06-15T08:00:00Z"), pd.Timedelta(days=365)

    def combined(names: Any) -> str | None:
        return None if names is None else ", ".join(sorted(set(names)))

    def work() -> int:
        found = pd.read_parquet(Path(snapshot) / "bindings")
        found["last_seen"] = found["date_updated"].fillna(found["date_created"])
        found["age"] = as_of - found["last_seen"]
        found["expired"] = found["age"] > year
        found["combination"] = found["message_types"].map(combined)
        key = ["service_sid"]
        for keys in (key, ["binding_type"], ["combination"], ["credential_sid", "binding_type"]):
            grouped = found.groupby(keys, observed=True)
            grouped.agg(bindings=("sid", "size"), expired=("expired", "sum"), last_seen=("last_seen", "max"))
            found.groupby([*key, *keys] if keys != key else key, observed=True)["identity"].nunique()
        pd.cut(found["age"] / year, [part / 12 for part in range(25)]).value_counts()
        crowded = found.groupby(["service_sid", "identity"], observed=True).size() > 20
        shared = found.groupby(["service_sid", "endpoint"], observed=True)["identity"].nunique() > 1
        _ = crowded.sum(), shared.sum()
        found.sort_values("age", ascending=False).head(10)
        return len(found)

    return work


REVIEWERS: dict[str, Reader] = {each.__name__: each for each in (review_snapshot, pandas_review)}
