"""Load: the difference between live and desired, field by field, and not a byte written to Twilio."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migrate.load.compare import compare
from migrate.model.errors import MigrateError
from migrate.model.push_config import FIELDS, ServiceConfig
from migrate.standin.world import World
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, scripted

SERVICE = service_sid(1)
settings = st.fixed_dictionaries(
    {},
    optional={item.path: st.booleans() if item.type is bool else st.sampled_from(["", "a", "b"]) for item in FIELDS},
)


@given(settings, settings)
def test_a_change_names_exactly_what_differs_and_applying_it_leaves_none(live: Any, desired: Any) -> None:
    config = ServiceConfig(SERVICE, "x", desired)
    change, _ = compare(config, live, {})
    fields = change.fields if change else ()
    for item in FIELDS:
        differs = item.path in desired and desired[item.path] != live.get(item.path, item.type())
        assert (item.path in fields) == differs
    if change:
        assert (change.existing, change.desired) == (live, desired)
    applied = {**live, **{path: desired[path] for path in fields}}
    assert compare(config, applied, {})[0] is None


def test_templates_are_checked_as_they_stand_now(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    assert run("run", "--out", tmp_path).exit_code == 0
    config = tmp_path / "mapped" / "push-config.yaml"
    text = config.read_text("utf-8")
    config.write_text(
        text.replace("${CHANEL}", "${CONVERSATION}").replace("${PARTICIPANT}: ", "${PARTICIPANTT}: "), "utf-8"
    )
    findings = json.loads(run("load", tmp_path / "mapped", "--json").stdout)["findings"]
    unknown = {finding["subject"] for finding in findings if finding["code"] == "template-variable-unknown"}
    assert unknown == {"new_message.template: ${PARTICIPANTT}"}


@pytest.mark.parametrize("name", ["push-config.yaml", "plan.md", "bindings/plan.md", "sub/plan.md"])
def test_reports_do_not_go_where_edits_are(tmp_path: Path, run: Run, demo: Demo, name: str) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for option in ("--plan-out", "--log-file"):
        result = run("load", folder, "--replay", CASSETTE, option, folder / name)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_file_is_written_over_another_that_the_command_uses(tmp_path: Path, run: Run, demo: Demo) -> None:
    cassette = Path(shutil.copy(CASSETTE, tmp_path / "c.yaml"))
    before = cassette.read_bytes()
    for options in (
        ["--plan-out", cassette],
        ["--log-file", cassette],
        ["--plan-out", tmp_path / "r.md", "--report", tmp_path / "r.md"],
        ["--plan-out", tmp_path / "p", "--log-file", tmp_path / "p"],
        ["--plan-out", ""],
        ["--plan-out", tmp_path / "\udcff"],
    ):
        result = run("load", demo.folder / "mapped", "--replay", cassette, *options)
        assert result.exit_code == 2, options
        assert "Traceback" not in result.output
    assert cassette.read_bytes() == before


def test_a_path_that_leads_in_a_circle_is_one_line(tmp_path: Path, run: Run, demo: Demo) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for command in (
        ["load", demo.folder / "mapped", "--replay", CASSETTE, "--plan-out", tmp_path / "loop" / "p.json"],
        ["map", demo.folder / "snapshot", "--out", tmp_path / "loop" / "m"],
    ):
        result = run(*command)
        assert result.exit_code in (1, 2)  # newer Pythons find out later
        assert result.stderr.count("\n") == 1


def test_what_is_no_file_is_not_replaced(tmp_path: Path, run: Run, demo: Demo) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = run("load", demo.folder / "mapped", "--replay", CASSETTE, "--plan-out", tmp_path / "pipe")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "run" / "plan.json").mkdir(parents=True)
    assert run("run", "--replay", CASSETTE, "--out", tmp_path / "run").exit_code == 4
    assert not (tmp_path / "run" / "snapshot").exists()


def test_nothing_goes_into_a_snapshot(tmp_path: Path, run: Run, demo: Demo) -> None:
    snapshot = Path(shutil.copytree(demo.folder / "snapshot", tmp_path / "snapshot"))
    for command in (
        ["map", snapshot, "--out", snapshot / "bindings" / "m"],
        ["extract", "--replay", CASSETTE, "--out", snapshot / "s"],
        ["load", demo.folder / "mapped", "--replay", CASSETTE, "--plan-out", snapshot / "manifest.json"],
    ):
        result = run(*command)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert run("map", snapshot, "--out", tmp_path / "m").exit_code == 0


def test_mapping_writes_nothing_into_the_snapshot_while_it_reads(
    tmp_path: Path, run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = tempfile.mkdtemp

    def mkdtemp(*arguments: Any, **options: Any) -> str:
        made.append(real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    assert run("map", demo.folder / "snapshot", "--out", tmp_path / "m").exit_code == 0
    assert made
    assert all(Path(folder).is_relative_to(tmp_path) for folder in made)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_only_404_means_that_a_service_is_missing(
    tmp_path: Path, run: Run, demo: Demo, environment: pytest.MonkeyPatch, status: int
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "0" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "x")
    with scripted(lambda server, path: Reply({"message": "no"}, status)) as server:
        result = run("load", demo.folder / "mapped", "--conversations-url", server.url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"answered {status}" in result.stderr
    assert "--source" not in result.stderr, "which load does not have"


def test_switching_off_and_values_left_alone_are_findings() -> None:
    live: dict[str, bool | str] = {"new_message.enabled": True, "new_message.sound": "x", "log_enabled": False}
    change, findings = compare(ServiceConfig(SERVICE, "x", {"new_message.enabled": False}), live, {"new_message": 7})
    assert change is not None
    assert change.fields == ("new_message.enabled",)
    assert {(finding.code, finding.subject, finding.count) for finding in findings} == {
        ("change-disables", "new_message.enabled", 7),
        ("target-value-kept", "new_message.sound", 1),
    }


def test_no_command_writes_anything_to_twilio(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    server = serve(demo_world)
    for command in (
        ["run", "--out", tmp_path / "all"],
        ["extract", "--out", tmp_path / "s"],
        ["map", tmp_path / "s", "--out", tmp_path / "m"],
        ["load", tmp_path / "m", "--plan-out", tmp_path / "p.json", "--report", tmp_path / "r.md"],
    ):
        assert run(*command).exit_code == 0
    assert server.world.writes == []


def test_services_that_are_missing_on_the_target_are_a_blocker(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(conversations=None))
    result = run("run", "--out", tmp_path)
    assert result.exit_code == 0
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    assert (plan["changes"], plan["missing"], plan["counts"]["services"]) == ([], [SERVICE], 1)
    assert "1 service not there in Conversations" in result.stdout
    assert [f["code"] for f in plan["findings"] if f["severity"] == "blocker"] == ["service-missing-on-target"]
    assert "1 blocker to decide first" in (tmp_path / "report.md").read_text("utf-8")


def test_a_service_that_is_not_in_the_push_configuration_is_told(tmp_path: Path, run: Run, demo: Demo) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))

    def told(*options: str) -> list[tuple[str, str, int]]:
        plan = json.loads(run("load", folder, "--replay", CASSETTE, "--json", *options).stdout)
        found = [each for each in plan["findings"] if each["code"] == "service-not-stated"]
        return [(each["severity"], each["service_sid"], each["count"]) for each in found]

    assert told() == []
    config = folder / "push-config.yaml"
    whole = yaml.safe_load(config.read_text("utf-8"))
    del whole["services"][service_sid(3)]
    config.write_text(yaml.safe_dump(whole), "utf-8")
    services = {each["service_sid"]: each["bindings"] for each in demo.json("mapped", "summary.json")["services"]}
    assert told() == [("warning", service_sid(3), services[service_sid(3)])]
    assert told("--service", service_sid(1)) == []


def test_the_edited_file_is_what_is_compared(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    assert run("run", "--out", tmp_path).exit_code == 0
    (tmp_path / "mapped" / "push-config.yaml").write_text(
        f"format_version: 1\nservices:\n  {SERVICE}: {{notifications: {{new_message: {{sound: ping}}}}}}\n"
    )
    result = run("load", tmp_path / "mapped", "--json")
    (change,) = json.loads(result.stdout)["changes"]
    assert (change["service_sid"], change["fields"], change["desired"]) == (
        SERVICE,
        ["new_message.sound"],
        {"new_message.sound": "ping"},
    )


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--detailed-exitcode"], 3)])
def test_pending_changes_show_in_the_exit_code_if_asked_for(
    run: Run, demo: Demo, options: list[str], code: int
) -> None:
    assert run("load", demo.folder / "mapped", "--replay", CASSETTE, *options).exit_code == code


def test_nothing_to_do_is_zero_also_in_detail(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(notifications={"new_message": {"enabled": False}}))
    result = run("run", "--out", tmp_path)
    assert "0 settings of 0 services would change, 1 service unchanged" in result.stdout
    assert "## Changes\n\nNone.\n" in (tmp_path / "report.md").read_text("utf-8")
    assert run("load", tmp_path / "mapped", "--detailed-exitcode").exit_code == 0


def test_another_accounts_mapping_is_refused(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    assert run("run", "--out", tmp_path).exit_code == 0
    serve({**tiny_world(), "account_sid": "AC" + "2" * 32})
    result = run("load", tmp_path / "mapped")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "AC" + "1" * 32 in result.stderr


def test_a_failure_of_conversations_is_one_warning_and_one_error(
    tmp_path: Path, run: Run, demo: Demo, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "0" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "x")
    result = run("load", demo.folder / "mapped", "--conversations-url", "http://127.0.0.1:1")
    assert (result.exit_code, result.stderr.count("\n"), result.stderr.count("connection refused")) == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("summary.json", None, "it has no summary.json"),
        ("push-config.yaml", None, "it has no push-config.yaml"),
        ("summary.json", b"{", "its summary.json cannot be read"),
        ("summary.json", b'{"format_version": 4}', "its summary.json cannot be read"),
        ("summary.json", b'{"format_version": 1}', "another format"),
        ("summary.json", b"[" * 100_000, "its summary.json cannot be read"),
        ("push-config.yaml", b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_what_is_no_mapped_folder_is_one_line(
    tmp_path: Path, run: Run, demo: Demo, name: str, content: bytes | None, problem: str
) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    result = run("load", folder, "--replay", CASSETTE)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert problem in result.stderr


def test_a_run_that_is_interrupted_half_way_says_how_to_go_on(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.pipeline.make_plan", interrupt)
    result = run("run", "--out", tmp_path / "my run")
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert f"Resume with: chat-migrate load '{tmp_path / 'my run' / 'mapped'}'" in result.stderr


@pytest.mark.parametrize("end", [KeyboardInterrupt(), MigrateError("no")])
def test_a_run_whose_mapping_stops_names_the_command_that_goes_on_with_its_rules(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise end

    serve(tiny_world())
    (rules := tmp_path / "my rules.toml").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr("migrate.map.mapping.map_snapshot", stop)
        result = run("run", "--out", tmp_path / "o", "--rules", rules)
    assert result.exit_code == (130 if isinstance(end, KeyboardInterrupt) else 1)
    (command,) = re.findall(r"[Rr]esume with: chat-migrate (map .*)\n", result.stderr)
    assert f"--rules '{rules}'" in command
    assert run(*shlex.split(command)).exit_code == 0


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path, run: Run) -> None:
    assert run("load", CASSETTE, "--replay", CASSETTE).exit_code == 2
    assert run("map", CASSETTE, "--out", tmp_path / "m").exit_code == 2


def test_a_run_that_stops_half_way_says_how_to_go_on(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world())
    result = run("run", "--out", tmp_path, "--conversations-url", "http://127.0.0.1:1")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 2)
    assert f"Then resume with: chat-migrate load {tmp_path / 'mapped'}" in result.stderr.splitlines()[-1]
    assert run("load", tmp_path / "mapped", "--conversations-url", server.url).exit_code == 0


def test_a_summary_that_does_not_add_up_is_not_trusted(tmp_path: Path, run: Run, demo: Demo) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))
    text = (folder / "summary.json").read_text("utf-8")
    for old, new in (
        ('"expired": 14', '"expired": 13'),
        ('"friendly_name": "Rider support"', '"friendly_name": 5'),
        ('"count": 56', '"count": "56"'),
        ('"subject": "invited_to_channel"', '"subject": 5'),
    ):
        assert old in text
        (folder / "summary.json").write_text(text.replace(old, new, 1), "utf-8")
        result = run("load", folder, "--replay", CASSETTE)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "its summary.json cannot be read" in result.stderr


def test_a_finding_that_this_version_does_not_know_is_not_guessed_at(tmp_path: Path, run: Run, demo: Demo) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))
    text = (folder / "summary.json").read_text("utf-8")
    (folder / "summary.json").write_text(text.replace('"binding-gcm"', '"binding-new"'), "utf-8")
    assert run("load", folder, "--replay", CASSETTE).exit_code == 1
