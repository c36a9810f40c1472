"""Snapshots, mapped folders and plans that version 0.2.0 (0b715b9) wrote, of formats 1, 4 and 4, are still read.

`formats/documents` has what it wrote of the stand-in with `world.yaml`, and what its `verify --json` said.
"""

from __future__ import annotations

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from migrate.map import mapped_folder
from migrate.model.digest import canonical_json
from migrate.review import open_mapped, open_plan, open_snapshot
from migrate.standin.server import StandInServer
from tests.applying import live
from tests.conftest import ROOT, Run, Serve, service_sid

FORMATS = ROOT / "tests" / "formats" / "documents"
SHARED = "BSe36a078018b1468a92d4de6daca356a9"


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    content: dict[str, Any] = yaml.safe_load((FORMATS / "world.yaml").read_bytes())
    return serve(content)


@pytest.fixture
def files(tmp_path: Path, server: StandInServer) -> Path:
    """A copy of all that was written, as it would be had the stand-in of then had the address of today's."""
    folder = Path(shutil.copytree(FORMATS, tmp_path / "then"))
    for path in (
        folder / "snapshot" / "manifest.json",
        folder / "mapped" / "summary.json",
        *folder.glob("plan*.json"),
    ):
        content = json.loads(re.sub(r"http://127\.0\.0\.1:\d+", server.url, path.read_text("utf-8")))
        if content.pop("plan_id", None):
            content["plan_id"] = f"sha256:{sha256(canonical_json(content).encode()).hexdigest()}"
        path.write_text(canonical_json(content), "utf-8")
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_a_snapshot_is_mapped_to_what_it_was_mapped_to(files: Path, tmp_path: Path, run: Run) -> None:
    mapped = tmp_path / "mapped"
    result = run("map", files / "snapshot", "--out", mapped, "--rules", files / "mapped" / "rules.toml")
    assert result.exit_code == 0, result.output
    then, now = read(files / "mapped" / "summary.json"), read(mapped / "summary.json")
    for service in now["services"]:
        service.pop("off_in_chat")
    for name in ("services", "findings", "proposals", "credentials", "totals", "as_of", "account_sid"):
        assert now[name] == then[name], name
    text = (files / "mapped" / "push-config.yaml").read_text("utf-8").partition("\ncredentials:")[0]
    former, worded = "that are to be made, or given another secret", "to create, or to give another secret"
    text = text.replace(former, worded).replace("see the README", "see docs/credentials.md")
    assert (mapped / "push-config.yaml").read_text("utf-8") == text
    assert len(open_snapshot(files / "snapshot")) == 10


def test_a_mapped_folder_is_loaded_to_the_same_changes(files: Path, run: Run) -> None:
    result = run("load", files / "mapped", "--json")
    assert result.exit_code == 0, result.output
    then, now = read(files / "plan.json"), json.loads(result.stdout)
    # What a plan has since: of each service the number of live devices, which its id covers.
    assert now.pop("devices") == {service_sid(1): 6, service_sid(2): 3}
    assert {**now, "plan_id": ""} == {**then, "plan_id": ""}


def test_a_plan_is_read_and_applied(files: Path, run: Run, server: StandInServer) -> None:
    plan = files / "plan-of-a-service.json"
    assert open_plan(files / "plan.json").plan.credentials[0].config.secrets == {"secret": "env:FCM_KEY"}
    result = run("load", "--plan", plan, "--apply", "--yes")
    assert result.exit_code == 0, result.output
    (change,) = read(plan)["changes"]
    now = live(server.world)[service_sid(1)]
    assert {path: now[path] for path in change["desired"]} == change["desired"]


def test_a_plan_that_was_edited_since_is_refused(files: Path, run: Run, server: StandInServer) -> None:
    plan = files / "plan.json"
    plan.write_text(plan.read_text("utf-8").replace('"ding"', '"dong"'), "utf-8")
    result = run("load", "--plan", plan, "--apply", "--yes")
    assert (result.exit_code, result.stderr.count("\n"), "dong" in result.stderr) == (1, 1, False)
    assert "its id is not that of its content" in result.stderr
    assert server.world.writes == []


def test_a_snapshot_is_verified_with_the_same_numbers(files: Path, tmp_path: Path, run: Run) -> None:
    result = run("verify", files / "snapshot", "--coverage", tmp_path / "coverage", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert {name: said[name] for name in ("services", "total")} == read(files / "verified.json")


def test_a_binding_is_explained_though_its_columns_lack_what_others_show(files: Path, run: Run) -> None:
    result = run("explain", files / "mapped", SHARED, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert [one["code"] for one in said["findings"]] == ["endpoint-shared"]
    assert (said["binding"]["endpoint_shared"], said["binding"]["identity_crowded"]) == (True, False)
    whole = open_mapped(files / "mapped")
    assert len(whole) == len(whole.columns("sid", "findings")) == 10


def test_what_chat_has_off_is_known_from_its_findings(files: Path, run: Run) -> None:
    path = "added_to_conversation.enabled"
    (service, *_) = mapped_folder.open_mapped(files / "mapped").summary.services
    assert (service["service_sid"], service["off_in_chat"]) == (service_sid(1), [path])
    found = json.loads(run("load", files / "mapped", "--json").stdout)["findings"]
    assert "push-left-off" not in {one["code"] for one in found}


@pytest.mark.parametrize("name", ["findings", "services"])
def test_a_summary_of_that_format_with_something_else_in_it_is_one_line(files: Path, run: Run, name: str) -> None:
    path = files / "mapped" / "summary.json"
    path.write_text(json.dumps({**read(path), name: {"synthetic-secret": 1}}), "utf-8")
    result = run("load", files / "mapped")
    assert (result.exit_code, result.stderr.count("\n"), "synthetic-secret" in result.stderr) == (1, 1, False)
    assert "its summary.json cannot be read" in result.stderr
