"""What is measured of verify: this project's, and the obvious thing in pandas; and what makes their snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.readers import Reader, Work


def make_later(snapshot: str, folder: Path) -> Work:
    """A snapshot as Conversations shows it some weeks after another, in the folder itself."""
    from bench.reregistered import write_later

    return lambda: write_later(folder, Path(snapshot))


def verify_snapshot(snapshot: str, folder: Path) -> Work:
    """This project, through its public function; the later snapshot lies beside the earlier one."""
    import duckdb  # noqa: F401  # what is imported late is imported now: only the work is timed

    import migrate

    verify = migrate.verify_snapshot

    return lambda: verify(Path(snapshot), folder / "coverage", later(snapshot)).coverage.total.bindings


def verify_itself(snapshot: str, folder: Path) -> Work:
    """This project: a snapshot beside itself."""
    import duckdb  # noqa: F401  # what is imported late is imported now: only the work is timed

    import migrate

    verify = migrate.verify_snapshot

    return lambda: verify(Path(snapshot), folder / "coverage", Path(snapshot)).coverage.total.bindings


def diff_snapshots(snapshot: str, folder: Path) -> Work:
    """This project: what has changed from a snapshot to the later one, through its public function."""
    import duckdb  # noqa: F401  # what is imported late is imported now: only the work is timed

    import migrate
    import migrate.diff.snapshots

    difference = migrate.difference

    return lambda: difference(Path(snapshot), later(snapshot)).total.before


def pandas_merge(snapshot: str, folder: Path) -> Work:
    """What one would write in ten minutes: two merges, by device and then by platform, one to one by their turn."""
    import pandas as pd

    columns = ["identity", "endpoint", "binding_type", "message_types", "date_created", "date_updated", "service_sid"]
    device, platform = ["service_sid", "identity", "endpoint"], ["service_sid", "identity", "platform"]

    def read(path: Path) -> pd.DataFrame:
        frame = pd.read_parquet(path / "bindings", columns=columns)
        frame["platform"] = frame["binding_type"].replace("gcm", "fcm")
        return frame

    def is_sign(names: Any) -> bool:
        return names is not None and any(name.startswith("twilio.conversations.") for name in names)

    def work() -> int:
        source, live = read(Path(snapshot)), read(later(snapshot))
        signs = live[live["message_types"].map(is_sign)].dropna(subset=["identity"])
        seen = source["date_updated"].fillna(source["date_created"])
        source["status"] = "pending"
        known = signs[device].dropna().drop_duplicates()
        same = source[device].merge(known, on=device, how="left", indicator=True)["_merge"].eq("both").to_numpy()
        source.loc[same, "status"] = "ready_device"
        source.loc[(seen < pd.Timestamp("2025-06-15T08:00:00Z")).to_numpy(), "status"] = "expired"
        held = source[device].dropna().drop_duplicates()
        taken = signs[device].merge(held, on=device, how="left", indicator=True)["_merge"].eq("both").to_numpy()
        free = signs.loc[~taken, platform].copy()
        waiting = source.loc[source["status"].eq("pending"), platform].copy()
        for frame in (free, waiting):
            frame["turn"] = frame.groupby(platform, dropna=False).cumcount()
        found = waiting.merge(free, on=[*platform, "turn"], how="left", indicator=True)["_merge"].eq("both")
        source.loc[waiting.index[found.to_numpy()], "status"] = "ready_platform"
        counts = source.groupby(["service_sid", "platform", "status"], observed=True).size()
        counts.to_frame("bindings").reset_index().to_parquet(folder / "coverage.parquet")
        return int(counts.sum())

    return work


def later(snapshot: str) -> Path:
    """Where the later snapshot lies."""
    return Path(f"{snapshot}-later")


VERIFIERS: dict[str, Reader] = {
    each.__name__: each for each in (make_later, verify_snapshot, verify_itself, diff_snapshots, pandas_merge)
}
