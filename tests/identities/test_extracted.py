"""The bindings of those people, in batches, and how that resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrate.extract import buffer, identities
from migrate.extract.identities import read_identities
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import Binding
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.identities.conftest import ODD, PEOPLE
from tests.test_durability import dies, kill_at

# --- through the whole of extract ---------------------------------------------------------------------------

SERVICES = 2


def crowd(**changes: Any) -> dict[str, Any]:
    """A world of services that share people; each person has two bindings in each service."""
    content = tiny_world()
    groups = [{"count": 2, "identity": each, "binding_type": ["apn", "fcm"]} for each in ODD]
    groups += [
        {"count": 24, "identity": "person-{n}"},
        {"count": 24, "identity": "person-{n}", "binding_type": "fcm"},
    ]
    groups += [{"count": 2, "identity": None}, {"count": 2, "identity": ""}]
    service = {**content["services"][0], "bindings": groups}
    return {**content, "services": [service] * SERVICES, **changes}


def expected(server: StandInServer, people: list[str]) -> list[str]:
    bindings: list[Binding] = [each for service in server.world.services.values() for each in service.bindings]
    return sorted(each.sid for each in bindings if each.identity in people)


def extracted(folder: Path) -> list[str]:
    return sorted(pd.read_parquet(folder / "bindings")["sid"])


@pytest.fixture
def short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few identities in a request that a service has lanes of several."""
    monkeypatch.setattr(identities, "MOST_FILTER_CHARACTERS", 60)
    monkeypatch.setattr(identities, "LANES", 4)


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


@pytest.mark.parametrize("page_size", [3, 1000])
def test_the_bindings_of_those_people_come_from_all_services_and_no_others(
    tmp_path: Path, run: Run, serve: Serve, people: Path, page_size: int
) -> None:
    server = serve(crowd())
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", page_size)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    frame = pd.read_parquet(tmp_path / "s" / "bindings")
    assert set(frame["identity"]) == set(PEOPLE) - {"nobody", "person-9999"}
    assert frame.groupby("service_sid", observed=True).size().to_dict() == dict.fromkeys(
        map(service_sid, range(1, SERVICES + 1)), 2 * len(ODD) + 24
    )


@pytest.mark.usefixtures("short_batches")
def test_the_chains_of_a_service_are_its_lanes_and_the_manifest_names_nobody(
    tmp_path: Path, run: Run, serve: Serve, people: Path
) -> None:
    server = serve(crowd())
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--json")
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    facts = manifest(tmp_path / "s")
    assert facts["filters"] == {
        "services": [],
        "binding_types": [],
        "identities": [],
        "identity_file": {"count": len(PEOPLE), "sha256": read_identities(people).describe().sha256},
    }
    wanted = {f"chat:{service_sid(n)}:identities-{lane:02}" for n in range(1, SERVICES + 1) for lane in range(4)}
    assert {chain["chain"] for chain in facts["chains"]} == wanted
    batches = len(read_identities(people).starts)
    assert batches > 4
    assert sum(chain["pages"] for chain in facts["chains"]) == SERVICES * batches
    text = (tmp_path / "s" / "manifest.json").read_text("utf-8")
    for shown in (text, result.stdout, result.stderr):
        assert not [each for each in PEOPLE if len(each) > 4 and each in shown]
        assert "person-" not in shown


@pytest.mark.usefixtures("short_batches")
def test_other_filters_narrow_it_further(tmp_path: Path, run: Run, serve: Serve, people: Path) -> None:
    server = serve(crowd())
    options = ["--identity-file", people, "--binding-type", "fcm", "--service", service_sid(2)]
    assert run("extract", "--out", tmp_path / "s", *options).exit_code == 0
    bindings = server.world.services[service_sid(2)].bindings
    wanted = sorted(each.sid for each in bindings if each.identity in PEOPLE and each.binding_type == "fcm")
    assert extracted(tmp_path / "s") == wanted


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize(
    "faults", [Faults(token_expiry=0.1, seed=3), Faults(rate=0.2, seed=1)], ids=["tokens", "all"]
)
def test_faults_lose_nothing_in_any_lane(
    tmp_path: Path, run: Run, serve: Serve, people: Path, faults: Faults
) -> None:
    server = serve(crowd(), faults=faults)
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", 2)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    facts = manifest(tmp_path / "s")  # a list of a lane that began anew shows in what came twice
    assert facts["duplicates_removed"] + sum(chain["restarts"] + chain["retries"] for chain in facts["chains"])


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 4, 12])
def test_one_that_dies_in_the_midst_of_its_lanes_is_gone_on_with(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    people: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    after: bool,
) -> None:
    server = serve(crowd())
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 5)
    options = ["extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", 3, "--concurrency", 2]
    with monkeypatch.context() as patched:
        kill_at(patched, "append", number, after=after)
        assert dies(run, *options)
    assert manifest(tmp_path / "s")["status"] == "unfinished"
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    assert read_snapshot(tmp_path / "s").manifest.duplicates_removed == 0


@pytest.mark.usefixtures("short_batches")
def test_one_that_goes_on_does_not_ask_again_for_what_it_has(
    tmp_path: Path, run: Run, serve: Serve, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(crowd())
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 5)
    options = ["extract", "--identity-file", people, "--page-size", 3, "--concurrency", 2]
    assert run(*options, "--out", tmp_path / "whole").exit_code == 0
    whole = server.world.requests
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 10)
        assert dies(run, *options, "--out", tmp_path / "s")
    lines = [json.loads(line) for line in (tmp_path / "s" / "checkpoint.jsonl").read_text().splitlines()]
    kept = sum(line["pages"] for line in lines)
    assert any(line["turn"] and not line["done"] for line in lines), "it is in the midst of a lane"
    before = server.world.requests
    assert run(*options, "--out", tmp_path / "s").exit_code == 0
    assert kept > 0
    assert server.world.requests - before <= whole - kept
    assert extracted(tmp_path / "s") == extracted(tmp_path / "whole")


@pytest.mark.usefixtures("short_batches")
def test_a_file_that_has_changed_meanwhile_is_refused_and_one_that_says_the_same_is_not(
    tmp_path: Path, run: Run, serve: Serve, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(crowd())
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 2)
        assert dies(run, "extract", "--out", tmp_path / "s", "--identity-file", people)
    before = (tmp_path / "s" / "checkpoint.jsonl").read_bytes()
    other = tmp_path / "other.txt"
    for changed in (PEOPLE[1:], [*PEOPLE, "person-0002"], [*PEOPLE[1:], "somebody"]):
        other.write_text("".join(f"{each}\n" for each in changed), "utf-8")
        result = run("extract", "--out", tmp_path / "s", "--identity-file", other)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert "--restart" in result.stderr
        assert "person-" not in result.stderr
    for options in ([], ["--identity", "person-0001"]):
        assert run("extract", "--out", tmp_path / "s", *options).exit_code == 4
    assert (tmp_path / "s" / "checkpoint.jsonl").read_bytes() == before
    pq.write_table(pa.table({"who": [*PEOPLE[::-1], *PEOPLE]}), tmp_path / "same.parquet")
    same = ["--identity-file", tmp_path / "same.parquet", "--identity-column", "who"]
    assert run("extract", "--out", tmp_path / "s", *same).exit_code == 0
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)


def test_an_extract_of_the_same_people_again_can_take_them_from_the_snapshot(
    tmp_path: Path, run: Run, serve: Serve, people: Path
) -> None:
    serve(crowd())
    assert run("extract", "--out", tmp_path / "one", "--identity-file", people).exit_code == 0
    assert run("extract", "--out", tmp_path / "two", "--identity-file", tmp_path / "one").exit_code == 0
    assert extracted(tmp_path / "two") == extracted(tmp_path / "one")


def test_how_to_go_on_names_the_file_and_its_column(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(crowd())
    path = tmp_path / "the people.csv"
    path.write_text("who\nperson-0001\n")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.extract.extraction.list_credentials", interrupt)
    result = run("extract", "--out", tmp_path / "s", "--identity-file", path, "--identity-column", "who")
    assert result.exit_code == 130
    assert f"--identity-file '{path}' --identity-column who" in result.stderr


def test_such_a_snapshot_can_be_mapped_and_planned(tmp_path: Path, run: Run, serve: Serve, people: Path) -> None:
    server = serve(crowd())
    assert run("extract", "--out", tmp_path / "s", "--identity-file", people).exit_code == 0
    mapped = run("map", tmp_path / "s", "--out", tmp_path / "m", "--json")
    assert mapped.exit_code == 0, mapped.output
    summary = json.loads(mapped.stdout)
    assert sum(service["bindings"] for service in summary["services"]) == len(expected(server, PEOPLE))
    loaded = run("load", tmp_path / "m", "--plan-out", tmp_path / "plan.json", "--report", tmp_path / "report.md")
    assert loaded.exit_code == 0, loaded.output
    assert len(json.loads((tmp_path / "plan.json").read_bytes())["changes"]) == SERVICES
    assert server.world.writes == []
