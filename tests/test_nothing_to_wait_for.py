"""No percentage of nothing, and no record that vanishes: what a comparison rests on is said."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.model.schemas import COVERAGE
from migrate.review import open_coverage
from migrate.verify.coverage import Counts, Coverage, ServiceCoverage
from migrate.verify.coverage_folder import write_coverage
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.snapshots import AS_OF, binding, write_snapshot

SERVICE, OTHER = service_sid(1), service_sid(2)
EMPTY: list[dict[str, Any]] = []
EXPIRED: list[dict[str, Any]] = [{"count": 3, "age_days": 400}]
CAUSES = ("TWILIO_ACCOUNT_SID", "TWILIO_REGION", "filters")


@pytest.fixture(params=[(EMPTY, "snapshot-empty"), (EXPIRED, "snapshot-expired")], ids=["no binding", "all expired"])
def nothing(request: pytest.FixtureRequest, tmp_path: Path, serve: Serve) -> str:
    """A world with nothing to wait for is served; the code of what is to be said of it."""
    bindings, code = request.param
    serve(tiny_world(bindings=bindings, conversations_bindings=[{"count": 2}], conversations_shows_chat=False))
    return str(code)


@pytest.mark.parametrize("options", [[], ["--fail-under", 0], ["--fail-under", 95]])
def test_verify_with_nothing_to_wait_for_is_no_success(
    tmp_path: Path, run: Run, nothing: str, options: list[object]
) -> None:
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    words = ["verify", tmp_path / "s", "--coverage", tmp_path / "c", *options]
    shown = run(*words)
    assert (shown.exit_code, shown.stderr.count("\n")) == (4, 1)
    assert "nothing to wait for" in shown.stderr
    assert all(cause in shown.stderr for cause in CAUSES)
    assert nothing in shown.stdout
    assert "100" not in shown.stdout
    told = json.loads(run(*words, "--json").stdout)
    assert told["total"]["percent"] is None
    assert [platform["percent"] for service in told["services"] for platform in service["platforms"]] in ([], [None])
    assert [finding["code"] for finding in told["findings"]] == [nothing]
    against = run(*words[:2], "--against", tmp_path / "s", *words[2:])
    assert against.exit_code == 4


def test_a_curve_has_no_point_where_there_is_nothing(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=EXPIRED))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert run("verify", tmp_path / "s", "--coverage", tmp_path / "c").exit_code == 4
    review = open_coverage(tmp_path / "c")
    assert review.curve()["percent"].isna().all()
    assert review.coverage["percent"].isna().all()
    assert review.by_service()["percent"].isna().all()


def test_extract_and_map_and_report_say_that_there_is_nothing_to_wait_for(
    tmp_path: Path, run: Run, nothing: str
) -> None:
    shown = run("extract", "--out", tmp_path / "s")
    assert shown.exit_code == 0
    assert nothing in shown.stdout
    assert all(cause in " ".join(shown.stdout.split()) for cause in CAUSES)
    told = json.loads(run("extract", "--out", tmp_path / "t", "--json").stdout)
    assert [finding["code"] for finding in told["findings"]] == [nothing]
    summary = json.loads(run("map", tmp_path / "s", "--out", tmp_path / "m", "--json").stdout)
    assert nothing in [finding["code"] for finding in summary["findings"]]
    for ending in ("md", "html", "json"):
        assert run("load", tmp_path / "m", "--report", tmp_path / f"r.{ending}").exit_code == 0
        assert nothing in (tmp_path / f"r.{ending}").read_text("utf-8")
    assert nothing in run("run", "--out", tmp_path / "all").stdout + (tmp_path / "all" / "report.md").read_text()


@pytest.mark.parametrize("apply", [[], ["--apply", "--yes"]])
def test_retire_with_nothing_to_wait_for_is_no_success(
    tmp_path: Path, run: Run, nothing: str, apply: list[str], environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    result = run("retire", tmp_path / "s", "--coverage", tmp_path / "c", *apply)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "nothing to wait for" in result.stderr
    assert "100" not in result.stdout


@pytest.mark.parametrize(
    "dates",
    [
        {"date_updated": None, "date_created": None},
        {"date_updated": AS_OF},
        {"date_updated": None, "date_created": AS_OF},
    ],
)
def test_one_binding_that_can_come_back_is_something_to_wait_for(
    tmp_path: Path, run: Run, dates: dict[str, Any]
) -> None:
    old = binding(1, date_updated=AS_OF.replace(year=2020))
    write_snapshot(
        tmp_path / "s", {SERVICE: {}, OTHER: {}}, {SERVICE: [[old]], OTHER: [[old], [binding(2, **dates)]]}
    )
    summary = json.loads(run("map", tmp_path / "s", "--out", tmp_path / "m", "--json").stdout)
    assert "snapshot-expired" not in [finding["code"] for finding in summary["findings"]]
    shown = run("verify", tmp_path / "s", "--against", tmp_path / "s", "--coverage", tmp_path / "c")
    assert shown.exit_code == 0, shown.output
    assert "nothing to wait for" not in shown.stdout


# --- live records that do not fit ---------------------------------------------------------------------------

ODD = [{"extra": {"identity": 5}}, {"extra": {"date_updated": "yesterday"}, "identity": "somebody-with-a-name"}]


def test_live_records_that_do_not_fit_are_counted_said_and_kept(tmp_path: Path, run: Run, serve: Serve) -> None:
    signs = [{"count": 2, "message_types": [["twilio.conversations.new_message"]]}, *ODD]
    serve(tiny_world(conversations_bindings=signs, conversations_shows_chat=False))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    told = run("verify", tmp_path / "s", "--coverage", tmp_path / "c", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["rejected"] == {"snapshot": 0, "live": 2}
    assert found["services"][0]["rejected"] == 2
    assert found["live"]["bindings"] == 2
    evidence = Path(found["rejected_file"])
    assert evidence == Path(found["file"]).with_suffix(".rejected.jsonl")
    kept = [json.loads(line) for line in evidence.read_text("utf-8").splitlines()]
    assert [entry["reason"] for entry in kept] == ["identity is not a text", "date_updated is not a date"]
    assert kept[1]["record"]["identity"] == "somebody-with-a-name"
    assert stat.S_IMODE(evidence.stat().st_mode) == 0o600
    shown = run("verify", tmp_path / "s", "--coverage", tmp_path / "c")
    assert f"2 live records that do not fit, and count for nothing: {SERVICE} (2)" in shown.stdout
    assert "-2.rejected.jsonl (2 records; it holds identities" in shown.stdout
    assert "somebody-with-a-name" not in shown.output + told.output
    frame = pd.read_parquet(found["file"])
    assert frame["rejected"].sum() == 2
    assert frame[frame["rejected"] > 0]["platform"].isna().all()
    review = open_coverage(tmp_path / "c")
    assert review.by_service()["rejected"].tolist() == [2]
    assert "2 live records that do not fit" in review._repr_html_()


def test_records_of_another_snapshot_are_said_where_they_are_kept_already(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world(bindings=[{"count": 3}, *ODD]))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    told = run("verify", tmp_path / "s", "--against", tmp_path / "s", "--coverage", tmp_path / "c", "--json")
    found = json.loads(told.stdout)
    assert found["rejected"] == {"snapshot": 2, "live": 2}
    assert Path(found["rejected_file"]) == tmp_path / "s" / "rejected.jsonl"
    assert len(list((tmp_path / "c").iterdir())) == 1
    shown = run("verify", tmp_path / "s", "--against", tmp_path / "s", "--coverage", tmp_path / "c")
    assert "2 records of it did not fit" in shown.stdout


def test_coverage_of_an_earlier_version_is_read_still(tmp_path: Path) -> None:
    service = ServiceCoverage(
        SERVICE, "x", {None: Counts(1, pending=1), "apn": Counts(2, ready_device=2)}, rejected=4
    )
    day = AS_OF.isoformat()
    found = Coverage("AC" + "0" * 32, "sha256:0", day, "conversations", day, 4, narrowed=False, services=(service,))
    (tmp_path / "c").mkdir()
    path = write_coverage(tmp_path / "c", found)
    assert pq.read_table(path).column("rejected").to_pylist() == [4, 0]
    pq.write_table(pq.read_table(path).drop_columns(["rejected"]), path)
    review = open_coverage(tmp_path / "c")
    assert set(COVERAGE.names) < set(review.coverage)
    assert (review.ready_now, review.coverage["rejected"].sum()) == (66.6, 0)
