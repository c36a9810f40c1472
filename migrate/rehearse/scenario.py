"""The rehearsal's points: one load from its dry run to its rollback, each step judged by what the stand-in holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrate.load.compare import differing, same
from migrate.load.limits import OF_A_ROLLBACK, Ground, violations
from migrate.load.plan_file import journal_of, read_plan
from migrate.load.proposals import INFERRED
from migrate.model.plan import ROLLBACK, Change, Plan
from migrate.model.push_config import FIELD_BY_PATH, Settings
from migrate.model.push_credential import CREDENTIAL
from migrate.rehearse.probe import Oracle, State
from migrate.rehearse.processes import KILLED, Children

# What the stranger sets, and to what: a field that every service has, and a text that no other would set.
MEDDLED = "removed_from_conversation.sound"
REFUSED, LOST, SILENT = "503", "reset", "stall"  # kinds of faults: not done; done, and no answer; done, and it waits
RETIRE = "retire"
# Limits that a stand-in does not keep: it is another place than the snapshot is from.
OF_A_RETIREMENT = ("other-address", "few-ready", "many-bindings", "old-snapshot")
_TO_RETIRE = 20  # bindings are enough to see it, with what further ones their services have
STRANGE = "set by somebody else during the rehearsal"


class FailedError(Exception):
    """A point does not hold; the text says why."""


class SkippedError(Exception):
    """A point cannot be tried here; the text says why."""


class Act:
    """One load against a stand-in: what has come of it so far. Each public method is a point.

    A point raises `FailedError`, `SkippedError`, or what its children and the oracle raise. `now` is the stand-in's
    time. `idle` says that the plan has no changes, and that nothing is left to be tried. With `inferred`, what is
    only proposed is a change too.
    """

    def __init__(
        self,
        mapped: Path,
        snapshot: Path,
        children: Children,
        oracle: Oracle,
        account_sid: str,
        now: datetime,
        *,
        inferred: bool = False,
    ) -> None:
        self._load = ("load", mapped, *(_forced([INFERRED]) if inferred else []))
        self._snapshot = snapshot
        self._children = children
        self._oracle = oracle
        self._account_sid = account_sid
        self._now = now
        self._plan_file = children.work / "plan.json"
        self._journal = journal_of(self._plan_file)
        self._first = oracle.look().services
        self._changes: tuple[Change, ...] = ()  # of services
        self._number = 0  # of all changes
        self._lifted: set[str] = set()
        self.plan: Plan | None = None
        self.limits: dict[str, str] = {}

    @property
    def idle(self) -> bool:
        """Whether the plan was made and has no changes."""
        return self.plan is not None and not self.plan.objects

    def dry_run(self) -> None:
        """Make the plan."""
        self._must_exit(0, *self._load, "--plan-out", self._plan_file)
        self.plan = read_plan(self._plan_file)
        self._changes = self.plan.changes
        self._must_be(self._first)
        self._must_have_written(0)
        self._number = len(self.plan.objects)
        self._children.allow(self._number)

    def refuse(self) -> None:
        """Try without `--force`. What would refuse it at the stand-in is forced from now on, and nothing else."""
        plan = read_plan(self._plan_file)
        self.limits = dict(violations(Ground(plan, self._account_sid, plan.target, datetime.now(UTC))))
        here = dict(violations(Ground(plan, self._account_sid, plan.target, self._now)))
        if not here:
            raise SkippedError("no limit refuses it")
        told = self._must_exit(4, *self._apply)
        if untold := [name for name in here if f"[{name}]" not in told]:
            raise FailedError(f"the refusal does not name {untold[0]}: {told}")
        self._must_have_written(0)
        self._lifted = set(here)

    def kill(self) -> None:
        """Apply, and die when half of the changes are written.

        The first write is refused once, and then done with its answer lost; the last before the death is done, and
        its answer does not come.
        """
        half = (self._number + 1) // 2
        self._oracle.order([REFUSED, LOST, *[""] * (half - 2), *([SILENT] if half > 1 else [])])
        child = self._children.start(*self._apply)
        begun = child.wait_until(lambda: len(self._oracle.look().writes) >= half, self._children.seconds)
        code = child.kill()
        self._oracle.order([])
        if not begun:
            raise FailedError(f"it ended by itself, with {code}: {child.last_line}")
        self._must_be_journalled()
        if code != KILLED:
            raise SkippedError("it was done before it could be killed")

    def meet_a_stranger(self) -> None:
        """Resume, where somebody else has changed a service that was not begun; then they take it back."""
        begun = _intents(self._journal)
        left = [change.service_sid for change in self._changes if change.service_sid not in begun]
        if not left:
            raise SkippedError("no other service is left to be changed")
        sid = left[-1]
        was = self._first[sid]
        fields = next(change.fields for change in self._changes if change.service_sid == sid)
        # If possible a field that the plan is to set, too.
        path = next((path for path in fields if FIELD_BY_PATH[path].type is str), MEDDLED)
        self._oracle.meddle(sid, path, STRANGE)
        try:
            self._must_exit(5, *self._apply)
            self._must_be({**self._wanted(), sid: {**was, path: STRANGE}})
        finally:
            self._oracle.meddle(sid, path, was.get(path, ""))

    def go_on(self) -> None:
        """Resume, to the end."""
        if not any("finished" in line for line in _lines(self._journal)):
            self._must_exit(0, *self._apply)
        self._must_be(self._wanted())

    def count(self) -> None:
        """Compare the writes with the journal."""
        self._must_be_counted(self._journal)

    def load_again(self) -> None:
        """Make a new plan of what is left to do. A credential's secret cannot be read back, and is set each time."""
        again = self._children.work / "again.json"
        self._must_exit(0, *self._load, "--plan-out", again)
        changes = json.loads(again.read_bytes())["changes"]
        left = [each for each in changes if each["kind"] != CREDENTIAL or not each["credential_sid"]]
        if left:
            raise FailedError(
                f"{len(left):,} changes are left, the first of {left[0]['service_sid'] or 'a credential'}"
            )

    def apply_twice(self) -> None:
        """Try to apply the plan once more."""
        before = len(self._oracle.look().writes)
        told = self._must_exit(4, *self._apply)
        if "applied already" not in told:
            raise FailedError(f"it was refused for another reason: {told}")
        self._must_have_written(before)

    def retire(self) -> None:
        """Retire some bindings, of which the stand-in has let every other device register with Conversations."""
        work = self._children.work
        journal = work / "retire.jsonl"
        retire = ("retire", self._snapshot, "--coverage", work / "coverage", "--journal", journal, "--json")
        services = self._json_of(*retire)["services"]
        if self._oracle.look().deletes:
            raise FailedError("its dry run has deleted something")
        some, wanted = [], 0
        for service in services:
            number = service["deletions"]["by_device"]
            if number and wanted < _TO_RETIRE:
                some += ["--service", service["service_sid"]]
                wanted += number
        if not some:
            raise SkippedError("of no device is it shown that it gets the same through Conversations")
        told = self._json_of(*retire, *some, "--apply", "--yes", *_forced(OF_A_RETIREMENT))["retired"]
        self._must_be_retired(journal, told["deleted"])
        if told["deleted"] != wanted:
            raise FailedError(f"it deleted {told['deleted']:,} of {wanted:,} bindings")

    def roll_back(self) -> None:
        """Undo it."""
        self._must_exit(0, "rollback", self._journal, "--apply", "--yes", *_forced(self._lifted & {*OF_A_ROLLBACK}))
        self._must_be(self._first)
        self._must_be_counted(self._journal, self._journal.with_suffix(ROLLBACK))

    @property
    def _apply(self) -> tuple[object, ...]:
        return ("load", "--plan", self._plan_file, "--apply", "--yes", *_forced(self._lifted))

    def _wanted(self) -> dict[str, Settings]:
        """What is to be live once the plan is applied."""
        wanted = dict(self._first)
        for change in self._changes:
            fields = {path: change.desired[path] for path in change.fields}
            wanted[change.service_sid] = {**wanted[change.service_sid], **fields}
        return wanted

    def _must_exit(self, code: int, *arguments: object) -> str:
        """Run a command line that must end with this exit code; the last line that it says."""
        got, child = self._children.run(*arguments)
        if got != code:
            raise FailedError(f"{arguments[0]} exited with {got} instead of {code}: {child.last_line}")
        return child.last_line

    def _json_of(self, *arguments: object) -> dict[str, Any]:
        """What a command line that must succeed gives as JSON."""
        code, child = self._children.run(*arguments)
        if code:
            raise FailedError(f"{arguments[0]} exited with {code}: {child.last_line}")
        found: dict[str, Any] = json.loads(child.out.read_bytes())
        return found

    def _must_be_retired(self, journal: Path, number: int) -> None:
        """No device has lost a push, and each delete is one that the journal has, and was made once."""
        seen = self._oracle.look()
        if seen.losses:
            sid, pushes = next(iter(seen.losses.items()))
            raise FailedError(f"{len(seen.losses):,} devices lost pushes: with {sid}, that of {', '.join(pushes)}")
        deleted = {str(line["result"]) for line in _lines(journal) if line.get("status") == "deleted"}
        if sorted(seen.deletes) != sorted(deleted) or len(deleted) != number:
            told = f"{len(seen.deletes):,} deletes, {len(deleted):,} in the journal, {number:,} reported"
            raise FailedError(f"the counts differ: {told}")

    def _must_be(self, wanted: State) -> None:
        live = self._oracle.look().services
        wrong = [sid for sid in wanted if not same(wanted[sid], live[sid])]
        if wrong:
            sid = wrong[0]
            paths = sorted({*differing(wanted[sid], live[sid]), *differing(live[sid], wanted[sid])})
            listed = f"{sid}, {', '.join(paths)}"
            raise FailedError(f"{len(wrong):,} of {len(wanted):,} services are not as they must be: {listed}")

    def _must_be_journalled(self) -> None:
        """Whatever is not as it was first is as wanted, and in the journal."""
        live, wanted, begun = self._oracle.look().services, self._wanted(), _intents(self._journal)
        for sid, first in self._first.items():
            if not same(first, live[sid]) and not (sid in begun and same(wanted[sid], live[sid])):
                raise FailedError(f"{sid} was written, and the journal does not say so")

    def _must_be_counted(self, *journals: Path) -> None:
        """Each write is one that a journal calls applied, and each of those was made once.

        A credential's secret cannot be read back: a write of it that is in doubt is made again, arrived or not.
        """
        writes = self._oracle.our_writes()
        begun = Counter(sid for each in journals for sid in _intents(each))
        applied = Counter(sid for each in journals for sid in _applied(each))
        for sid in sorted({*writes, *begun}):
            again = not sid and begun[sid] and writes[sid] > applied[sid]
            if writes[sid] != applied[sid] and not again:
                told = f"{writes[sid]} writes, and {applied[sid]} of {begun[sid]} in the journal applied"
                raise FailedError(f"{sid or 'Credentials'}: {told}")

    def _must_have_written(self, number: int) -> None:
        writes = len(self._oracle.look().writes)
        if writes != number:
            raise FailedError(f"it wrote, so often: {writes - number}")


def _forced(names: Collection[str]) -> list[str]:
    """The options that lift these limits."""
    return [word for name in sorted(names) for word in ("--force", name)]


def _lines(journal: Path) -> list[dict[str, object]]:
    """The complete lines of a journal, whoever is writing to it now."""
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]


def _intents(journal: Path) -> list[str]:
    """The services that a journal's intents name, in their order; an empty text for what is no service's."""
    return [str(line.get("service_sid", "")) for line in _lines(journal) if "intent" in line]


def _applied(journal: Path) -> list[str]:
    """The same of those intents that ended well."""
    settled = {line["result"]: line["status"] for line in _lines(journal) if "result" in line}
    return [sid for number, sid in enumerate(_intents(journal)) if settled.get(number) == "applied"]


# Each has a name, what must hold, and the method that tries it; in the order in which they are tried.
POINTS: Sequence[tuple[str, str, Callable[[Act], None]]] = (
    ("dry run", "it writes nothing", Act.dry_run),
    ("limits", "without --force they refuse it, nothing is written", Act.refuse),
    ("kill", "killed half-way, the journal has all that is written", Act.kill),
    ("stranger", "what others set is left alone, all else is applied", Act.meet_a_stranger),
    ("go on", "the same command resumes, and all is as desired", Act.go_on),
    ("count", "each write is in the journal, and was made once", Act.count),
    ("load again", "it finds nothing to do", Act.load_again),
    ("apply twice", "the same plan is refused", Act.apply_twice),
    (RETIRE, "no device loses a push, and each delete is made once", Act.retire),
    ("roll back", "all is as it was first", Act.roll_back),
)
