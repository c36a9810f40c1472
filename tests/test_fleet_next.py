"""The command that a fleet's command names: it is one, for the same accounts, asked for in the same way."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from migrate.fleet.fleet import FleetOptions
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.progress import FleetProgress
from migrate.model.errors import AGAIN, RefusedError, Step
from migrate.twilio_api.accounts import AccountChoice
from migrate.twilio_api.connect import ApiSettings
from tests.company import sid_of
from tests.conftest import Run

LIVE = {  # with what each takes beside its folder
    "doctor": (),
    "run": ("--out", "FLEET", "--like", "FLEET"),
    "extract": ("--out", "FLEET", "--no-alerts"),
    "load": ("FLEET", "--force", "blockers", "--max-services", "7", "--detailed-exitcode"),
    "load --apply": ("FLEET", "--yes", "--max-accounts", "7"),
    "rollback": ("FLEET", "--max-services", "7", "--one-by-one"),
    "rollback --apply": ("FLEET", "--yes"),
    "verify": ("FLEET", "--fail-under", "7"),
    "health": ("--out", "FLEET", "--since", "2d"),
}
OFFLINE = {"map": ("FLEET", "--out", "OTHER", "--overwrite"), "rehearse": ("FLEET",), "diff": ("FLEET", "FLEET")}
NAMED = ("--account", sid_of(1), "--account", sid_of(2).upper())
NAMING = (
    ("--accounts",),
    NAMED,
    ("--accounts", *NAMED),
    ("--accounts-file", "FILE"),
    ("--accounts", "--accounts-file", "FILE"),
)
OPTIONS = ((), ("--only", "5%"), ("--stop-after", "9"))
OF_API = ("--retry-budget", "3", "--page-size", "70", "--concurrency", "2", "--accounts-url", "http://127.0.0.1:9")


@dataclass
class Asked:
    """A fleet that notes how it was opened, and whose stages end as they are told to."""

    ends: list[AccountOutcome]
    is_of_file_alone: bool = False
    folder: Path | None = None
    progress: FleetProgress = field(default_factory=FleetProgress)
    seen: list[tuple[AccountChoice | None, str | None, tuple[object, ...]]] = field(default_factory=list)

    def __getattr__(self, stage: str) -> Any:
        return lambda *_, **__: FleetResult(stage, self.folder, tuple(self.ends))

    def whole(self, result: FleetResult) -> FleetResult:
        return result

    @contextmanager
    def opened(
        self, settings: ApiSettings, choice: AccountChoice, folder: Path, options: FleetOptions, *_: Any, **__: Any
    ) -> Iterator[Asked]:
        how = settings.retry_budget, settings.page_size, settings.concurrency, settings.accounts_url
        self.seen.append((choice, options.only, how))
        self.folder = folder
        yield self

    def offline(self, folder: Path, sids: Any, options: FleetOptions, *_: Any, every: bool = False) -> Asked:
        self.seen.append((AccountChoice(every, tuple(sids)), options.only, ()))
        self.folder = folder
        return self


@pytest.fixture
def fleet(environment: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    Path("FILE").write_text(sid_of(1))
    Path("FLEET").mkdir()
    (Path("FLEET") / "fleet.json").write_text('{"format_version": 1, "main_account_sid": null, "accounts": {}}')
    asked = Asked([AccountOutcome(sid_of(1), "Customer 1", "active", "done", 3)])
    environment.setattr("migrate.fleet.fleet.open_fleet", asked.opened)
    environment.setattr("migrate.fleet.fleet.offline_fleet", asked.offline)
    return asked


def ways() -> Iterator[list[str]]:
    """Each command with each way of naming the accounts, and in turn with some of its other options."""
    options = itertools.cycle(OPTIONS)
    for (name, own), naming in itertools.product({**LIVE, **OFFLINE}.items(), NAMING):
        if not (name in OFFLINE and "--accounts-file" in naming):
            yield [*name.split(), *own, *naming, *next(options), *(OF_API if name in LIVE else ())]


def test_every_next_command_is_one_for_the_same_accounts_asked_for_in_the_same_way(run: Run, fleet: Asked) -> None:
    followed = 0
    for words in ways():
        first = run(*words)
        assert first.exit_code in (0, 3), f"{words}: {first.output}"
        found = re.search(r"\nNext: .*\n  (chat-migrate .*)\n$", first.stdout)
        if words[0] in ("verify", "health", "diff"):
            assert not found
            continue
        assert found, f"{words}: {first.output}"
        *_, (choice, only, how) = fleet.seen
        command = shlex.split(found[1])[1:]
        again = run(*command, *(["--yes"] if "--apply" in command else []))
        assert again.exit_code == 0, f"{words}: {found[1]}: {again.stderr}"
        *_, (choice_then, only_then, how_then) = fleet.seen
        assert choice
        assert choice_then
        if choice.file is not None and command[0] in OFFLINE:
            choice = AccountChoice(all=True, sids=choice.sids)
        assert choice_then == choice, found[1]
        is_first_wave = words[0] == "load" and "--apply" not in words and "--account" not in words
        assert only_then == only or (is_first_wave and only_then == "5%"), found[1]
        assert not (how and how_then) or how_then == how, found[1]
        followed += 1
    assert followed > 30


def test_the_next_command_of_a_fleet_that_a_file_alone_names_asks_for_a_file(run: Run, fleet: Asked) -> None:
    fleet.is_of_file_alone = True
    for words in (["map", "FLEET"], ["rehearse", "FLEET"]):
        for naming in (["--accounts"], ["--account", sid_of(1)]):
            shown = run(*words, *naming).stdout
            assert shown.endswith("\n  chat-migrate load FLEET --accounts-file FILE\n"), shown
    shown = run("load", "FLEET", "--accounts-file", "FILE").stdout
    assert shown.endswith("\n  chat-migrate load FLEET --only 5% --apply --accounts-file FILE\n"), shown


def test_the_remedy_of_an_account_is_a_command_for_that_account(run: Run, fleet: Asked) -> None:
    place, followed = Path("FLEET"), set[str]()
    steps = [AGAIN, Step("load", {"mapped": place}), Step("rollback", {"path": place, "apply": True})]
    errors = [RefusedError("It is refused", remedy=("Try: ", step)) for step in steps]
    fleet.ends = [
        AccountOutcome(sid_of(number), "", "active", "failed", 4, error.what, error=error)
        for number, error in enumerate(errors, 1)
    ]
    for words in ways():
        for error, step in zip(errors, steps, strict=True):
            error.remedy = ("Try: ", step)
        refused = run(*words)
        assert refused.exit_code == 4, refused.output
        found = re.findall(r"It is refused\. Try: (chat-migrate .*)\n", refused.stdout)
        assert len(found) == len(steps), refused.stdout
        for number, named in enumerate(found, 1):
            if named in followed or (number > 1 and words[0] == "doctor"):  # which has no folder
                continue
            followed.add(named)
            command = shlex.split(named)[1:]
            again = run(*command, *(["--yes"] if "--apply" in command and "--yes" not in command else []))
            assert (again.exit_code, again.stderr.count("Usage")) == (4, 0), f"{words}: {named}: {again.stderr}"
            *_, (choice, only, _) = fleet.seen
            assert choice
            assert only is None or choice.file is not None
            assert (choice.file is not None) == ("--accounts-file" in words)
            assert choice.file is not None or (choice.sids, choice.all) == ((sid_of(number),), False)
    assert len(followed) > 30


@pytest.mark.parametrize("since", ["90m", "5h", "2d"])
def test_a_length_of_time_is_repeated_as_it_was_given(run: Run, fleet: Asked, since: str) -> None:
    error = RefusedError("It is refused", remedy=("Try: ", AGAIN))
    fleet.ends = [AccountOutcome(sid_of(1), "", "active", "failed", 4, error.what, error=error)]
    refused = run("health", "--out", "FLEET", "--accounts", "--since", since)
    assert refused.stdout.count(f"--since {since} ") == 1
    assert refused.stderr.count(f"--since {since} ") + refused.stderr.count(f"--since {since}\n") == 1
