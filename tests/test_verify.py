"""Verify: who has registered again. Each binding once, one device for one, whatever the order, parts and buckets."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.model.schemas import BINDINGS, COVERAGE
from migrate.snapshot.manifest import Filters, IdentityFile
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from migrate.verify.coverage import Counts
from migrate.verify.coverage_folder import SCRATCH
from migrate.verify.partition import ServiceParts, Terms, add_up, partitions, verify_partition
from migrate.verify.verification import verify_snapshot
from tests.conftest import DEMO_ACCOUNT, Demo, Run, Serve, service_sid, tiny_world
from tests.snapshots import AS_OF, binding, write_snapshot

SERVICE, OTHER = service_sid(1), service_sid(2)
CAME_BACK = ["twilio.conversations.new_message"]
EXPIRED = AS_OF - timedelta(days=366)
YEAR = timedelta(days=365)
TERMS = Terms(AS_OF - YEAR, AS_OF - YEAR, ("twilio.channel.", "twilio.ipmsg."), ("twilio.conversations.",))
Row = dict[str, Any]
Found = tuple[dict[str | None, Counts], list[str]]


# The comparison, beside one that goes row by row.


def compare(
    folder: Path, source: Sequence[list[Row]], live: Sequence[list[Row]], rows_a_bucket: int = 10_000
) -> Found:
    """The counts by platform and the pending SIDs, of rows in some parts."""

    def write(name: str, parts: Sequence[list[Row]]) -> list[tuple[Path, int]]:
        found = [(folder / f"{name}{number}.parquet", len(rows)) for number, rows in enumerate(parts)]
        for (path, _), rows in zip(found, parts, strict=True):
            pq.write_table(pa.Table.from_pylist(rows, schema=BINDINGS), path)
        return found

    sides = write("source", source), write("live", live)
    tasks = partitions([ServiceParts(SERVICE, *sides)], TERMS, folder, pending="pending", rows_a_bucket=rows_a_bucket)
    counts = add_up(verify_partition(task).get(SERVICE, {}) for task in tasks)
    pending = [sid for task in tasks if task.pending for sid in pq.read_table(task.pending)["sid"].to_pylist()]
    return counts, sorted(pending)


def platform_of(row: Row) -> str | None:
    return "fcm" if row["binding_type"] == "gcm" else row["binding_type"]


def is_registration(row: Row) -> bool:
    if row.get("binding_type") == "gcm":
        return False  # GCM is gone: what Conversations lists of it reaches no device
    names = [name for name in row["message_types"] or () if name]
    plain = {"added_to_conversation", "removed_from_conversation"}
    return any(name in plain or name.startswith("twilio.conversations.") for name in names)


def is_unclear(row: Row) -> bool:
    if is_registration(row) or row["message_types"] is None:
        return not is_registration(row)
    names = [name for name in row["message_types"] if name]
    chats = [name for name in names if name.endswith("_channel") or name.startswith(("twilio.ch", "twilio.ip"))]
    return "new_message" in names and not chats


def last_seen(row: Row) -> datetime | None:
    found: datetime | None = row["date_updated"] or row["date_created"]
    return found


def naively(source: list[Row], live: list[Row]) -> Found:
    """The same, one row at a time."""
    tally: Counter[tuple[str | None, str]] = Counter()
    source, live = (
        [{**row, "identity": row["identity"] or None, "endpoint": row["endpoint"] or None} for row in rows]
        for rows in (source, live)
    )
    live = [row for row in live if (last_seen(row) or AS_OF) >= TERMS.live_after]  # what is dead proves nothing
    registrations = [row for row in live if is_registration(row)]

    def device(row: Row) -> tuple[str | None, ...]:
        return row["identity"], row["endpoint"], platform_of(row)

    def same_device(one: Row, other: Row) -> bool:
        return None not in device(one) and device(one) == device(other)

    # A device is one, however often it is listed; what has no endpoint is some device of its own.
    listed = {device(each) if each["endpoint"] else each["sid"]: each for each in registrations}
    free = [each for each in listed.values() if not any(same_device(each, row) for row in source)]
    # The one that was seen last comes first, the one that never was comes last.
    order = sorted(
        source, key=lambda row: (-(last_seen(row) or datetime(1970, 1, 1, tzinfo=UTC)).timestamp(), row["sid"])
    )
    pending: list[str] = []
    for row in order:
        seen, successor = last_seen(row), None
        if seen and seen < TERMS.born_after:
            status = "expired"
        elif any(same_device(row, each) for each in registrations):
            status = "ready_device"
        else:
            key = (row["identity"], platform_of(row))
            if None not in key:
                successor = next((each for each in free if (each["identity"], platform_of(each)) == key), None)
            status = "ready_platform" if successor else "pending"
        if successor:
            free.remove(successor)
        if status == "pending":
            pending.append(row["sid"])
        tally.update([(platform_of(row), "bindings"), (platform_of(row), status)])
    tally.update((platform_of(each), "new") for each in free)
    tally.update((platform_of(row), "unclear") for row in live if is_unclear(row))
    platforms = {platform for platform, _ in tally}
    counts = {each: Counts(**{name: n for (key, name), n in tally.items() if key == each}) for each in platforms}
    return counts, sorted(pending)


NAMES = [
    None,
    [],
    ["new_message"],
    ["new_message", None],
    ["reaction_added"],
    ["new_message", "added_to_channel"],
    ["new_message", "twilio.channel.pinned"],
    ["new_message", "added_to_conversation"],
    ["removed_from_conversation", "invited_to_channel"],
    CAME_BACK,
]
dates = st.sampled_from([None, EXPIRED, AS_OF - timedelta(days=365), AS_OF - timedelta(days=3), AS_OF])


def rows_of(names: st.SearchStrategy[Any], prefix: str) -> st.SearchStrategy[list[list[Row]]]:
    """Bindings in up to three parts, of few identities, devices and platforms, so that they meet."""
    row = st.fixed_dictionaries(
        {
            "identity": st.sampled_from([None, "", "a", "a", "a", "b", "it's"]),
            "endpoint": st.sampled_from([None, "", "x", "y", "z", "w"]),
            "binding_type": st.sampled_from(["apn", "fcm", "gcm", "twilsock", None]),
            "message_types": names,
            "date_created": dates,
            "date_updated": dates,
        }
    )

    def numbered(parts: list[list[Row]]) -> list[list[Row]]:
        numbers = iter(range(1000))
        return [[{**row, "sid": f"{prefix}{next(numbers):03}"} for row in part] for part in parts]

    return st.lists(st.lists(row, max_size=6), max_size=3).map(numbered)


@given(
    rows_of(st.none(), "s"),
    rows_of(st.sampled_from([*NAMES, CAME_BACK, CAME_BACK, CAME_BACK]), "l"),
    st.sampled_from([9, 1000, 1000]),
)
@settings(max_examples=20)
def test_the_comparison_is_what_going_row_by_row_finds(
    source: list[list[Row]], live: list[list[Row]], rows_a_bucket: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, pending = compare(Path(folder), source, live, rows_a_bucket)
    assert (found, pending) == naively(
        [row for part in source for row in part], [row for part in live for row in part]
    )
    for counts in found.values():
        assert counts.ready + counts.pending + counts.expired == counts.bindings
    registrations = sum(is_registration(row) for part in live for row in part)
    # No registration makes two ready but as the same device.
    assert sum(counts.ready_platform + counts.new for counts in found.values()) <= registrations


@given(st.randoms(use_true_random=False), st.sampled_from([11, 50]))
@settings(max_examples=10)
def test_order_parts_and_buckets_change_nothing(random: Any, rows_a_bucket: int) -> None:
    source = [binding(n, identity=f"i{n // 3}", endpoint=f"e{n}") for n in range(30)]
    live = [binding(n, identity=f"i{n // 2}", endpoint=f"e{n * 2}", message_types=CAME_BACK) for n in range(20)]
    expected = naively(source, live)
    random.shuffle(source)
    random.shuffle(live)
    cut = random.randrange(20)
    with tempfile.TemporaryDirectory() as folder:
        assert (
            compare(Path(folder), [source[:cut], source[cut:]], [live[cut:], live[:cut]], rows_a_bucket) == expected
        )


@pytest.mark.parametrize(
    ("source", "live", "expected"),
    [
        # Two phones, one came back under another endpoint: one is ready, and one is still waited for.
        (["apn:1", "apn:2"], ["apn:3"], {"ready_platform": 1, "pending": 1}),
        (["apn:1", "apn:2"], ["apn:3", "apn:4", "apn:5"], {"ready_platform": 2, "new": 1}),
        # What came back as the same device is not another's successor too.
        (["apn:1", "apn:2"], ["apn:1"], {"ready_device": 1, "pending": 1}),
        (["apn:1", "apn:2"], ["apn:1", "apn:3"], {"ready_device": 1, "ready_platform": 1}),
        # The same device registered twice is one device.
        (["apn:1", "apn:1"], ["apn:1"], {"ready_device": 2}),
        (["apn:1"], ["apn:1", "apn:1"], {"ready_device": 1}),
        # A device that was thought dead comes back: it is nobody's successor, and nobody new.
        (["apn:1!", "apn:2"], ["apn:1"], {"expired": 1, "pending": 1}),
        (["apn:1!"], ["apn:2"], {"expired": 1, "new": 1}),
        # Another platform is another device.
        (["apn:1"], ["fcm:2"], {"pending": 1, "new": 1}),
        # GCM can only come back as FCM.
        (["gcm:1"], ["fcm:2"], {"ready_platform": 1}),
        (["gcm:1"], ["fcm:1"], {"ready_device": 1}),
        (["fcm:1"], ["gcm:1"], {"pending": 1}),
        (["gcm:1"], ["gcm:1"], {"pending": 1}),
        (["fcm:1"], ["gcm:2"], {"pending": 1}),
        # Two pushes of one phone are two bindings, and each comes back by itself; a browser is no phone.
        (["apn:1", "fcm:1"], ["fcm:1"], {"ready_device": 1, "pending": 1}),
        (["apn:1"], ["twilsock:1"], {"pending": 1, "new": 1}),
        # A device is one, however often it is listed, and by whatever name of its push.
        (["fcm:1", "fcm:2"], ["gcm:3", "fcm:3"], {"ready_platform": 1, "pending": 1}),
        # An empty endpoint is no device; a registration past its lifetime is dead.
        (["apn:", "apn:"], ["apn:"], {"ready_platform": 1, "pending": 1}),
        (["apn:1"], ["apn:1!"], {"pending": 1}),
    ],
)
def test_one_device_for_one(tmp_path: Path, source: list[str], live: list[str], expected: Mapping[str, int]) -> None:
    def rows(texts: list[str]) -> list[Row]:
        dates = [EXPIRED if text.endswith("!") else AS_OF for text in texts]
        pairs = [text.rstrip("!").split(":") for text in texts]
        return [
            binding(n, identity="i", binding_type=kind, endpoint=endpoint, message_types=CAME_BACK, date_updated=date)
            for n, ((kind, endpoint), date) in enumerate(zip(pairs, dates, strict=True))
        ]

    counts, pending = compare(tmp_path, [rows(source)], [rows(live)])
    summed = sum(counts.values(), Counts())
    assert summed == Counts(**{"bindings": len(source), **expected})
    assert len(pending) == summed.pending


def test_of_two_devices_the_one_seen_last_came_back(tmp_path: Path) -> None:
    source = [
        binding(1, identity="i", endpoint="a", date_updated=AS_OF - timedelta(days=9)),
        binding(2, identity="i", endpoint="b", date_updated=AS_OF - timedelta(days=2)),
        binding(3, identity="i", endpoint="c", date_updated=None),
    ]
    live = [binding(9, identity="i", endpoint="d", message_types=CAME_BACK)]
    assert compare(tmp_path, [source], [live])[1] == [source[0]["sid"], source[2]["sid"]]


def test_nothing_at_all_is_no_error_and_no_percentage_of_anything(tmp_path: Path) -> None:
    assert compare(tmp_path, [], []) == ({}, [])
    assert compare(tmp_path, [[]], []) == ({}, [])
    for nothing in (Counts(), Counts(bindings=2, expired=2)):
        assert nothing.percent is None
        assert not nothing.reaches(0)


@pytest.mark.parametrize(
    ("counts", "percent", "reached"),
    [
        (Counts(bindings=3, ready_device=1, pending=2), 33.3, [0, 33, 33.3]),
        (Counts(bindings=10_000, ready_platform=9_999, pending=1), 99.9, [99.99]),  # never rounded up to all
        (Counts(bindings=3, ready_device=1, ready_platform=1, expired=1), 100, [100]),
        (Counts(bindings=1, pending=1), 0, [0]),
    ],
)
def test_the_percentage_is_of_those_that_are_waited_for(counts: Counts, percent: float, reached: list[float]) -> None:
    assert counts.percent == percent
    assert all(counts.reaches(limit) for limit in reached)
    assert counts.ready == counts.expected or not counts.reaches(100)


# The command line, with what is live.


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, serve: Serve, odd_world: World) -> Path:
    """A snapshot of the demo's world, which is being served."""
    serve(odd_world)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    return tmp_path / "s"


def test_the_demo_world_is_told_by_service_and_platform(tmp_path: Path, run: Run, snapshot: Path) -> None:
    before = everything(snapshot)
    options = ["--coverage", tmp_path / "coverage", "--pending", tmp_path / "pending.csv"]
    result = run("verify", snapshot, *options, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    total = found["total"]
    # Six of the first service's customers: two of each platform, and web clients, which Chat does not know. In the
    # second, five whose binding the new SDK has made already; and 54 phones of the taxi service.
    assert (total["ready_platform"], total["new"], total["ready_device"]) == (4, 2, 59)
    assert (total["bindings"], total["expired"]) == (328, 20)
    assert total["pending"] == 328 - 20 - 63
    first = {item["platform"]: item for item in found["services"][0]["platforms"]}
    assert [first[name]["ready_platform"] for name in ("apn", "fcm", "twilsock")] == [2, 2, 0]
    assert first["twilsock"]["new"] == 2
    assert found["live"] == {"source": "conversations", "as_of": "2026-06-15T08:00:00+00:00", "bindings": 331}
    shown = run("verify", snapshot, *options)
    assert "  twilsock         0       0         0        0        0    2        0        -\n" in shown.stdout
    assert "\nAll              328      59         4      245       20    2" in shown.stdout
    assert everything(snapshot) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coverage", "pending.csv", "s"]


def test_runs_add_up_to_a_curve_without_personal_data(tmp_path: Path, run: Run, snapshot: Path) -> None:
    folder = tmp_path / "curves" / "coverage"
    log = tmp_path / "log"
    told = [run("verify", snapshot, "--coverage", folder, "-v", "-v", "--log-file", log) for _ in range(2)]
    names = [f"2026-06-15T08-00-00Z{number}.parquet" for number in ("", "-2")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert all(name in result.stdout for name, result in zip(names, told, strict=True))
    frame = pd.read_parquet(folder)
    assert list(frame.columns) == COVERAGE.names
    assert set(frame["as_of"]) == {pd.Timestamp(AS_OF)}
    assert frame["bindings"].sum() == 2 * 328
    assert (frame.filter(regex="ready|pending|expired").sum(axis=1) == frame["bindings"]).all()
    assert set(frame["snapshot"]) == {frame["snapshot"][0]}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    bindings = pd.read_parquet(snapshot / "bindings")
    texts = [log.read_bytes(), *everything(folder).values(), *(result.output.encode() for result in told)]
    for value in {*bindings["identity"].dropna(), *bindings["endpoint"].dropna()} - {"=1+1"}:
        assert not any(str(value).encode() in text for text in texts), value


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_list_says_who_is_still_pending(tmp_path: Path, run: Run, snapshot: Path, ending: str) -> None:
    path = tmp_path / "lists" / f"pending.{ending}"
    result = run("verify", snapshot, "--coverage", tmp_path / "c", "--pending", path)
    assert "245 rows; it holds identities" in result.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows: list[Row]
    if ending == "csv":
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
        assert "'=1+1" in {row["identity"] for row in rows}
    else:
        rows = pq.read_table(path).to_pylist()
    assert len({row["sid"] for row in rows} - {None}) >= 245 - 2  # one identity has line breaks in it
    waiting = [row for row in rows if row["identity"] == "customer-0007@example.test"]
    assert [(row["service"], row["service_sid"], row["platform"]) for row in waiting] == [
        ("Acme Support", SERVICE, "apn")
    ]
    identities = {row["identity"] for row in rows}
    assert not identities & {"customer-0001@example.test", "early-adopter-0001", "long-gone-0001"}
    content = path.read_bytes()
    for endpoint in pd.read_parquet(snapshot / "bindings")["endpoint"].dropna():
        assert endpoint.encode() not in content


def test_an_interrupted_reading_is_gone_on_with(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = {"count": 120, "identity": "person-{n}", "message_types": [CAME_BACK]}
    undocumented = {"identity": "someone", "binding_type": "webpush", "message_types": [CAME_BACK]}
    chats = [{"count": 130, "identity": "person-{n}"}]
    serve(tiny_world(bindings=chats, conversations_bindings=[back, undocumented]))
    coverage = tmp_path / "c"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    real, first, pages = TwilioApi.pages, True, 0

    def interrupted(self: TwilioApi, *args: Any, **options: Any) -> Any:
        for number, page in enumerate(real(self, *args, **{**options, "sizes": (50,)})):
            yield page
            nonlocal pages
            pages += args[1].endswith("/Bindings")
            if first and args[1].endswith("/Bindings") and number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(TwilioApi, "pages", interrupted)
    result = run("verify", tmp_path / "s", "--coverage", coverage)
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert f"Resume with: chat-migrate verify {tmp_path / 's'} --coverage {coverage}\n" in result.stderr
    assert [path.name for path in coverage.iterdir()] == [SCRATCH]
    assert stat.S_IMODE((coverage / SCRATCH).stat().st_mode) == 0o700
    first = False
    result = run("verify", tmp_path / "s", "--coverage", coverage, "--json")
    assert result.exit_code == 0, result.output
    total = json.loads(result.stdout)["total"]
    assert (total["ready_platform"], total["pending"], total["new"]) == (120, 10, 1)
    assert pages == 6  # of 251 bindings, none of them twice
    assert [path.suffix for path in coverage.iterdir()] == [".parquet"]


def test_what_was_left_by_others_is_cleared_and_not_gone_on_with(tmp_path: Path, run: Run, snapshot: Path) -> None:
    left = tmp_path / "c" / SCRATCH / "live-of-another"
    left.mkdir(parents=True)
    (left / "manifest.json").write_text("{}")
    (tmp_path / "c" / SCRATCH / "work").mkdir()
    assert run("verify", snapshot, "--coverage", tmp_path / "c").exit_code == 0
    assert [path.suffix for path in (tmp_path / "c").iterdir()] == [".parquet"]


def test_a_failed_reading_names_the_command_that_goes_on(
    tmp_path: Path, run: Run, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_AUTH_TOKEN", "another")
    result = run("verify", snapshot, "--coverage", tmp_path / "c")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not list((tmp_path / "c").glob("*.parquet"))
    assert not (tmp_path / "c" / SCRATCH).exists()


@pytest.mark.parametrize(
    "filters",
    [
        ["--service", OTHER],
        ["--binding-type", "apn"],
        ["--identity", "early-adopter-0001", "--identity", "customer-0001@example.test"],
        ["--identity-file", "names.txt"],
    ],
)
def test_a_narrowed_snapshot_is_compared_with_as_much(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World, filters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("early-adopter-0001\ncustomer-0001@example.test\n")
    serve(odd_world)
    assert run("extract", "--out", "s", *filters).exit_code == 0
    found = json.loads(run("verify", "s", "--json").stdout)
    assert found["snapshot"]["narrowed"]
    bindings = pd.read_parquet("s/bindings")
    assert found["total"]["bindings"] == len(bindings)
    assert found["total"]["new"] == 0
    assert found["total"]["ready_device"] + found["total"]["ready_platform"] == {
        "--service": 5, "--binding-type": 34, "--identity": 2, "--identity-file": 2
    }[filters[0]]  # fmt: skip
    assert found["live"]["bindings"] < 200


@pytest.mark.parametrize("command", ["verify", "retire"])
@pytest.mark.parametrize(
    ("narrowed", "ignored", "option"),
    [
        (("--binding-type", "apn"), "BindingType", "--binding-type"),
        (("--identity", "early-adopter-0001"), "Identity", "--identity and --identity-file"),
    ],
)
def test_where_the_live_side_ignores_a_filter_what_helps_is_another_snapshot(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    odd_world: World,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    narrowed: tuple[str, ...],
    ignored: str,
    option: str,
) -> None:
    serve(odd_world)
    assert run("extract", "--out", tmp_path / "s", *narrowed).exit_code == 0
    real = LiveTransport.send

    def send(transport: LiveTransport, request: Request) -> Answer:
        return real(transport, dataclasses.replace(request, url=re.sub(rf"{ignored}=[^&]*&?", "", request.url)))

    monkeypatch.setattr(LiveTransport, "send", send)
    refused = run(command, tmp_path / "s", "--coverage", tmp_path / "c")
    said = refused.stderr.splitlines()[-1]
    assert refused.exit_code == 4, refused.output
    assert f"Extract again without {option}, into another folder, and compare that one" in said
    assert "--no-shard" not in said
    assert ".chat-migrate-verify" not in said


# Against another snapshot.


def sides(folder: Path, source: list[Row], live: list[Row], **changes: Any) -> list[object]:
    """Two snapshots of one service, and the words of the command that compares them."""
    services = {SERVICE: {"friendly_name": "=one"}}
    write_snapshot(folder / "s", services, {SERVICE: [source]})
    later = {"source": "conversations", "as_of": "2026-07-01T12:30:00+00:00", **changes}
    write_snapshot(folder / "l", {**services, OTHER: {}}, {SERVICE: [live], OTHER: [[binding(7)]]}, **later)
    return ["verify", folder / "s", "--against", folder / "l", "--coverage", folder / "c"]


def test_two_snapshots_are_compared_without_a_network(tmp_path: Path, run: Run) -> None:
    source = [binding(1), binding(2), binding(3, date_updated=EXPIRED), binding(4, identity=None)]
    live = [binding(1, message_types=CAME_BACK), binding(4, identity=None, message_types=CAME_BACK), binding(2)]
    result = run(*sides(tmp_path, source, live), "--json")
    assert result.exit_code == 0, result.output
    total = json.loads(result.stdout)["total"]
    assert total == {
        "bindings": 4, "ready_device": 1, "ready_platform": 0, "pending": 2, "expired": 1, "new": 1, "unclear": 2,
        "percent": 33.3,
    }  # fmt: skip
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["2026-07-01T12-30-00Z.parquet"]
    shown = run(*sides(tmp_path / "again", source, live))
    assert "5 bindings" not in shown.stdout
    assert "4 bindings through Conversations, as of 2026-07-01 12:30 UTC" in shown.stdout


@pytest.mark.parametrize(("limit", "code"), [("0", 0), ("33.3", 0), ("33.34", 4), ("100", 4)])
def test_a_script_can_wait_for_a_percentage(tmp_path: Path, run: Run, limit: str, code: int) -> None:
    live = [binding(1, message_types=CAME_BACK)]
    result = run(*sides(tmp_path, [binding(n) for n in (1, 2, 3)], live), "--fail-under", limit, "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["total"]["percent"] == 33.3
    assert len(list((tmp_path / "c").iterdir())) == 1  # a curve has all its points
    assert result.stderr.count("\n") == (code == 4)
    if code:
        assert "33.3 % of" in result.stderr
        assert f"{float(limit):g} %" in result.stderr
        assert f"run the same again: chat-migrate verify {tmp_path / 's'}" in result.stderr


def test_the_lifetime_and_the_prefixes_are_rules(tmp_path: Path, run: Run) -> None:
    (tmp_path / "rules.toml").write_text(
        '[limits]\nlifetime_days = 400\n[message_type_names]\nconversations_prefixes = ["ours."]\n'
    )
    source = [binding(1, date_updated=EXPIRED), binding(2), binding(3)]
    live = [binding(1, message_types=["ours.new_message"]), binding(2, message_types=CAME_BACK)]
    result = run(*sides(tmp_path, source, live), "--rules", tmp_path / "rules.toml", "--json")
    total = json.loads(result.stdout)["total"]
    assert (total["expired"], total["ready_device"], total["pending"]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"account_sid": "AC" + "7" * 32}, ""),
        ({"status": "unfinished"}, "is unfinished"),
        ({"filters": Filters(services=(SERVICE,))}, "was narrowed"),
        ({"filters": Filters(binding_types=("apn",))}, "was narrowed"),
        ({"filters": Filters(identities=("someone-with-a-name",))}, "was narrowed"),
        ({"filters": Filters(identity_file=IdentityFile(1, "x"))}, "was narrowed"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, run: Run, changes: dict[str, Any], problem: str) -> None:
    words = sides(tmp_path, [binding(1)], [binding(1)], **changes)
    result = run(*words)
    assert result.exit_code == (4 if problem else 0)  # the replay's account may be any
    assert problem in result.stderr
    assert "someone-with-a-name" not in result.output
    assert (tmp_path / "c").exists() == (not problem)


def test_another_account_is_refused_on_either_way(tmp_path: Path, run: Run, serve: Serve) -> None:
    services, theirs = {SERVICE: {"friendly_name": "x"}}, "AC" + "7" * 32
    serve(tiny_world())
    write_snapshot(tmp_path / "s", services, {}, account_sid=theirs)
    write_snapshot(tmp_path / "l", services, {}, account_sid="AC" + "8" * 32)
    for options in ([], ["--against", tmp_path / "l"]):
        result = run("verify", tmp_path / "s", "--coverage", tmp_path / "c", *options)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert theirs in result.stderr
    assert not (tmp_path / "c").exists()


def test_a_damaged_snapshot_is_refused(tmp_path: Path, run: Run) -> None:
    words = sides(tmp_path, [binding(1)], [binding(1)])
    part = next((tmp_path / "l" / "bindings").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    assert run(*words).exit_code == 4


def test_places_that_would_spoil_something_are_refused(
    tmp_path: Path, run: Run, odd: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = sides(tmp_path, [binding(1)], [binding(1)])[:-2]
    (tmp_path / "file").write_text("x")
    assert run(*words, "--coverage", tmp_path / "file").exit_code in (2, 4)
    assert run(*words, "--coverage", tmp_path / "s").exit_code == 4
    assert run(*words, "--coverage", tmp_path / "s" / "coverage").exit_code == 4
    assert run(*words, "--coverage", odd.folder / "mapped").exit_code == 4
    assert run(*words, "--pending", tmp_path / "l" / "x.csv").exit_code == 4
    assert run(*words, "--pending", tmp_path / "coverage" / "x.csv").exit_code == 2
    assert run(*words, "--pending", "x.txt").exit_code == 2
    assert run(*words, "--record", "x.yaml").exit_code == 2
    assert run(*words, "--fail-under", "101").exit_code == 2
    assert not (tmp_path / "coverage").exists()


def test_a_full_disk_is_one_line_with_the_command_that_goes_on(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = sides(tmp_path, [binding(n) for n in range(50)], [binding(n) for n in range(50)])

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device", str(tmp_path / "c" / "x"))

    monkeypatch.setattr("migrate.verify.verification.write_coverage", full)
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "no space left on device" in result.stderr
    assert f"Resume with: chat-migrate verify {tmp_path / 's'} --against {tmp_path / 'l'}" in result.stderr
    assert list((tmp_path / "c").iterdir()) == []


def test_as_a_library_it_runs_on_any_executor(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sides(tmp_path, [binding(n) for n in range(9)], [binding(n, message_types=CAME_BACK) for n in range(6)])
    with ThreadPoolExecutor(2) as pool:
        done = verify_snapshot(tmp_path / "s", tmp_path / "c", tmp_path / "l", executor=pool)
    assert (done.coverage.total.ready_device, done.coverage.total.pending) == (6, 3)
    assert done.coverage.account_sid == DEMO_ACCOUNT
    assert done.file.exists()


def test_ctrl_c_while_bindings_are_compared_is_one_line(tmp_path: Path) -> None:
    sides(tmp_path, [binding(1)], [binding(1)])
    # In a process of its own: queries for ever, each too short to be deaf for long, and the signal in the midst of one.
    code = """
import os, signal, sys, threading
import migrate.verify.partition as verify
def prepare(database, partition):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        database.execute("SELECT count(*) FROM range(1000000) AS t(i) WHERE hash(i) = 1").fetchall()
verify._prepare = prepare
from migrate.__main__ import main
sys.argv[1:] = ["verify", "s", "--against", "l"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    remedy = "Resume with: chat-migrate verify s --against l"
    assert (done.returncode, done.stderr) == (130, f"Error: Interrupted. No coverage was written. {remedy}\n")
    assert list((tmp_path / "coverage").iterdir()) == []
