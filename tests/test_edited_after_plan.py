"""A plan that was saved before push-config.yaml was edited is not applied as if nothing had happened."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from migrate.standin.server import StandInServer
from tests.applying import dying, mortal
from tests.conftest import Run, Serve, said, service_sid, tiny_world

LOOK = [[], ["--apply", "--yes"]]


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    content = tiny_world()
    content["services"] *= 2
    return serve(content)


@pytest.fixture
def folder(tmp_path: Path, run: Run, server: StandInServer, environment: pytest.MonkeyPatch) -> Path:
    """A folder of `chat-migrate run`, which is the current one."""
    assert run("run", "--out", tmp_path).exit_code == 0
    environment.chdir(tmp_path)
    return tmp_path


def edit(folder: Path, old: str = "${MESSAGE}", new: str = "${MESSAGE}!") -> None:
    config = folder / "mapped" / "push-config.yaml"
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("options", LOOK)
def test_the_older_plan_is_refused_and_a_new_one_is_named(
    folder: Path, run: Run, server: StandInServer, options: list[str]
) -> None:
    edit(folder)
    told = run("load", "--plan", "plan.json", *options)
    assert (told.exit_code, said(told).count("\n")) == (5, 1), told.output
    assert "mapped/push-config.yaml was edited after the plan plan.json was made from it" in told.stderr
    assert server.world.writes == []
    new = shlex.split(re.findall(r"Make a new plan with: chat-migrate (.+)\. Or", told.stderr)[0])
    assert new[:4] == ["load", "mapped", "--plan-out", "plan-2.json"]
    assert run(*new).exit_code == 0
    assert run("load", "--plan", "plan-2.json", "--apply", "--yes").exit_code == 0
    assert len(server.world.writes) == 2


def test_a_plan_that_says_the_same_or_lies_elsewhere_is_applied(
    folder: Path, run: Run, server: StandInServer
) -> None:
    edit(folder, "services:", "# reviewed\nservices:")
    assert run("load", "--plan", "plan.json").exit_code == 0
    edit(folder)
    (folder / "elsewhere").mkdir()
    shutil.copy("plan.json", "elsewhere/plan.json")
    assert run("load", "--plan", "elsewhere/plan.json", "--apply", "--yes").exit_code == 0
    assert len(server.world.writes) == 2


def test_a_plan_of_some_services_is_compared_with_those(folder: Path, run: Run) -> None:
    assert run("load", "mapped", "--service", service_sid(1), "--plan-out", "one.json").exit_code == 0
    config = folder / "mapped" / "push-config.yaml"
    before, last, after = config.read_text("utf-8").partition(service_sid(2))
    config.write_text(before + last + after.replace("${MESSAGE}", "${MESSAGE}!"), "utf-8")
    assert run("load", "--plan", "one.json").exit_code == 0, "the edit is of another service"
    assert run("load", "--plan", "plan.json").exit_code == 5
    edit(folder)
    assert run("load", "--plan", "one.json").exit_code == 5


def test_a_plan_of_all_services_by_name_leaves_the_credentials_out_and_is_not_taken_for_edited(
    folder: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("FCM_KEY", "planted-9c1d-secret")
    by_name = [word for number in (1, 2) for word in ("--service", service_sid(number))]
    assert run("load", "mapped", *by_name, "--plan-out", "before.json").exit_code == 0
    config = folder / "mapped" / "push-config.yaml"
    plain = config.read_text("utf-8")
    config.write_text(plain + '\ncredentials:\n  new: {type: fcm, secret: "env:FCM_KEY"}\n', "utf-8")
    for options in (by_name, by_name[:2], ["--only-credentials"]):
        assert run("load", "mapped", *options, "--plan-out", "some.json", "--overwrite").exit_code == 0
        assert run("load", "--plan", "some.json").exit_code == 0, options
    for older in ("plan.json", "before.json"):
        assert run("load", "--plan", older).exit_code == 5, "a credential was added since"
    assert run("load", "mapped", *by_name, "--plan-out", "some.json", "--overwrite").exit_code == 0
    edit(folder)
    assert run("load", "--plan", "some.json").exit_code == 5


def test_a_plan_that_was_begun_is_finished(
    folder: Path, run: Run, server: StandInServer, environment: pytest.MonkeyPatch
) -> None:
    with environment.context() as patch:
        dying(patch, 8)
        assert mortal("load", "--plan", "plan.json", "--apply", "--yes").exit_code == -9
    assert len(server.world.writes) == 1
    edit(folder)
    assert run("load", "--plan", "plan.json", "--apply", "--yes").exit_code == 0
    assert len(server.world.writes) == 2


def test_an_edit_with_a_mistake_is_told_with_its_line(folder: Path, run: Run, server: StandInServer) -> None:
    edit(folder, "enabled: true", "enabeld: true")
    told = run("load", "--plan", "plan.json", "--apply", "--yes")
    assert (told.exit_code, server.world.writes) == (1, [])
    assert re.search(r"push-config\.yaml line \d+", told.stderr)


@pytest.mark.parametrize("beside", ["nothing", "a file", "no mapped folder"])
def test_without_a_mapped_folder_beside_it_a_plan_is_taken_as_it_is(folder: Path, run: Run, beside: str) -> None:
    shutil.rmtree(folder / "mapped")
    if beside == "a file":
        (folder / "mapped").write_text("x")
    elif beside == "no mapped folder":
        (folder / "mapped").mkdir()
    assert run("load", "--plan", "plan.json").exit_code == 0
