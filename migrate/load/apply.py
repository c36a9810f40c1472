"""Apply: the changes of a plan, one after the other, each journalled before and after, and each read back.

A change is written only where the live settings are still those that the plan was made from. What became of a write
is never guessed: Twilio ignores a misspelt field without an error, and an answer can be lost on its way, so the
settings are read back and compared field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from migrate.load.applied import Applied, Outcome, objects_of
from migrate.load.compare import differing, same
from migrate.load.credentials import CredentialWriter
from migrate.load.journal import Journal, begun_journal, open_journal, refuse_done
from migrate.load.limits import LIMITS, MOST_SERVICES, refuse_beyond
from migrate.load.plan_file import free_plan, plan_of
from migrate.load.planning import read_live
from migrate.load.preview import ground_now
from migrate.load.proposals import INFERRED, with_proposals
from migrate.load.rate_limit import READ_AGAIN, Pace
from migrate.load.secrets import Form, secret_findings, secret_forms
from migrate.load.writing import Observer, Terms, note_writes, only_writer
from migrate.model.catalogue import CATALOGUE
from migrate.model.errors import (
    AGAIN,
    InterruptedRunError,
    MigrateError,
    OtherAccountError,
    Step,
    TransientTwilioError,
    TwilioError,
    reason_of,
)
from migrate.model.plan import Change, Plan
from migrate.model.push_config import FIELD_BY_PATH, Settings, form_value, unreadable_of
from migrate.model.push_credential import CredentialChange
from migrate.model.text import is_encodable
from migrate.runtime.interrupts import resumable
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.doubts import doubt_of_account, doubt_of_addresses, doubt_of_clock
from migrate.twilio_api.proof import prove_account
from migrate.twilio_api.resources import notifications_path


def apply_plan(
    api: TwilioApi,
    plan: Plan,
    journal: Path,
    *,
    force: Collection[str] = (),
    confirm: Callable[[Plan], bool] | None = None,
    max_services: int = MOST_SERVICES,
    observer: Observer[Plan] | None = None,
) -> Applied:
    """Apply a plan. The same call resumes after an interruption, and settles what was begun.

    `journal` is the file that gets each write, before it and after it, and that undoes them. `force` lifts limits by
    their names; "inferred" in it writes what the plan only proposes, too. `confirm` is given the plan just before the
    first write; without its consent nothing is written. `observer` hears of doubts meanwhile.

    Raises `RefusedError` beyond the limits, without a consent, while another process writes to the account, and for a
    journal of another plan or of one that is done; `InputError` for a secret that cannot be used;
    `InterruptedRunError` on Ctrl-C. Where not all is as planned in the end, it raises `StaleError` (somebody else has
    been there), `PartlyAppliedError`, or `MigrateError` (nothing is as planned), whose `result` is an `Applied`.
    """
    terms = Terms(force, confirm, observer or Observer())
    plan = with_proposals(plan) if INFERRED in terms.force else plan
    with only_writer(api, terms.observer.say):
        some = tuple(LIMITS) if plan.objects else ("blockers",)  # the rest is about what is written

        def renew() -> tuple[str | Step, ...]:  # once it is known which files there are
            another = Step("load", {"mapped": "MAPPED", "plan_out": free_plan(plan_of(journal))})
            return "Make a new plan with: ", another

        return carry_out(api, plan, journal, terms, some, max_services=max_services, renew=renew)


def carry_out(
    api: TwilioApi,
    plan: Plan,
    journal: Path,
    terms: Terms[Plan],
    limits: Collection[str],
    *,
    max_services: int,
    renew: Callable[[], tuple[str | Step, ...]],
    plan_id: str | None = None,
) -> Applied:
    """Judge a plan by limits, have it confirmed, and apply it. Raises what `apply_plan` raises.

    `plan_id` is what the journal is known by, if not by the plan's own id; `renew` says what helps where somebody
    else has been there. What the journal says comes first: what was applied already is neither shown nor judged.
    """
    plan_id = plan_id or plan.plan_id
    if plan.objects:
        refuse_done(begun_journal(journal), plan_id, journal)
        terms.observer.begins(plan)
    ground = ground_now(api, plan, max_services)
    if plan.objects and "clock" in limits:
        terms.warn(doubt_of_clock(api))
    lifted = refuse_beyond(ground, terms.force, limits)
    if not plan.objects:
        return Applied(plan, journal)
    terms.observer.lifts(lifted)
    secrets = secret_forms(plan.credentials, ground.now)
    for finding in secret_findings(plan.credentials, ground.now):
        if finding not in plan.findings:  # made elsewhere, or before
            terms.observer.say(f"{finding.code}: {finding.subject}. {CATALOGUE[finding.code].meaning}")
    prove_account(api)
    terms.warn(doubt_of_account(api), doubt_of_addresses(api))
    terms.refuse_unless_confirmed(plan)
    api.reset_budget()
    with open_journal(journal, plan, plan_id) as kept:
        applied = Applied(plan, journal, _write_all(api, plan, kept, secrets, journal))
    if failure := applied.failure(renew(), is_begun=bool(kept.entries)):
        raise failure
    return applied


def _write_all(
    api: TwilioApi, plan: Plan, journal: Journal, secrets: Sequence[Form], path: Path
) -> tuple[Outcome, ...]:
    """Apply a plan with its journal, which is at `path` by the name that it was given."""
    refuse_done(journal, journal.plan_id, path)  # once more: no other process is writing now
    note_writes(api)
    applier, kept = Applier(api, plan, journal, secrets), f"The journal is {path}"

    def what_is_done() -> str:
        done = sum(outcome.verdict == "applied" for outcome in applier.outcomes)
        return f"Interrupted: {done:,} of {objects_of(plan)} are written"

    try:
        with resumable(what=what_is_done, kept=kept, remedy=("Resume with: ", AGAIN)):
            return tuple(applier.run())
    except OtherAccountError as error:
        error.kept = kept
        raise


class Applier:
    """Applies one plan. What is done is in the journal, whatever happens.

    `secrets` are the forms of `secret_forms`, one for each credential of the plan.
    """

    def __init__(self, api: TwilioApi, plan: Plan, journal: Journal, secrets: Sequence[Form] = ()) -> None:
        self._api = api
        self._plan = plan
        self._journal = journal
        self._secrets = secrets
        self._pace = Pace(api)
        self.outcomes: list[Outcome] = []  # of what was tried so far

    def run(self) -> list[Outcome]:
        """Try every change; one that fails does not stop the others. Gives what became of each.

        Raises `InterruptedRunError`, and `OtherAccountError` where an answer is of another account: then nothing
        further is tried.
        """
        outcomes = self.outcomes
        credentials = CredentialWriter(self._api, self._journal, self._pace)
        secrets = iter(self._secrets)
        for change in self._plan.objects:
            try:
                if isinstance(change, CredentialChange):
                    outcomes.append(credentials.apply(change, next(secrets)))
                else:
                    outcomes.append(self._apply(change))
            except (InterruptedRunError, OtherAccountError):
                raise
            except MigrateError as error:
                outcomes.append(Outcome(change, "failed", str(error)))
            except OSError as error:  # the journal cannot be written: nothing more may be
                why = f"the journal cannot be written: {reason_of(error)}"
                outcomes.append(Outcome(change, "failed", why))
                break
        else:
            self._finish(outcomes)
        return outcomes

    def _finish(self, outcomes: list[Outcome]) -> None:
        if all(outcome.verdict in ("applied", "already") for outcome in outcomes):
            with suppress(OSError):  # all is done; a later run finds that out, and notes it then
                self._journal.finish()

    def _apply(self, change: Change) -> Outcome:
        """Look at what is live, whatever the journal says, and write only where it has not been changed by others."""
        live = read_live(self._api, change.service_sid)
        if live is None:
            return Outcome(change, "missing", "there is no such service in Conversations")
        wanted = {path: change.desired[path] for path in change.fields}
        latest = self._journal.latest(change)
        if not differing(wanted, live):
            if latest is None:
                return Outcome(change, "already", "somebody else has set the same")
            if latest[1].status != "applied":  # it had arrived, unseen
                self._journal.end(latest[0], "applied", live)
            return Outcome(change, "applied", "by an earlier run")
        if latest and latest[1].status == "applied":
            return Outcome(change, "stale", f"changed since it was applied: {', '.join(differing(wanted, live))}")
        if foreign := _foreign(change, wanted, live, begun=latest is not None):
            if latest and latest[1].status is None:
                self._journal.end(latest[0], "failed", live)
            return Outcome(change, "stale", f"set otherwise since the plan was made: {', '.join(foreign)}")
        if halves := [path for path, value in wanted.items() if not is_encodable(form_value(value))]:
            what = f"{', '.join(halves)} would hold half of a character (a lone surrogate), which cannot be sent"
            return Outcome(change, "failed", what)
        return self._write(change, wanted, live)

    def _write(self, change: Change, wanted: Settings, live: Settings) -> Outcome:
        """Write, and read back what came of it. `live` is the before-image."""
        latest = self._journal.latest(change)
        if latest and latest[1].status is None:  # an earlier run's, that did not arrive, or not whole
            arrived = len(differing(wanted, live)) < len(wanted)
            self._journal.end(latest[0], "failed" if arrived else "void", live)
        number = self._journal.begin(change, live, wanted)
        try:
            after = self._send(change, number, wanted, live)
        except TwilioError as error:  # what was not seen to be refused stays open, and is settled by the next run
            return Outcome(change, "failed", str(error))
        if after is None:
            self._journal.end(number, "failed", None)
            return Outcome(change, "missing", "there is no such service in Conversations any more")
        wrong = differing(wanted, after)
        self._journal.end(number, "failed" if wrong else "applied", after)
        if not wrong:
            return Outcome(change, "applied")
        shown = ", ".join(f"{path} is {_shown(path, after)}" for path in wrong)
        return Outcome(change, "failed", f"Read back after the write: {shown}")

    def _send(self, change: Change, number: int, wanted: Settings, before: Settings) -> Settings | None:
        """Send what is wanted, and give what is live then; None if the service is not there any more.

        It is tried again while patience lasts. What Twilio took is not sent again. What was sent without an answer
        is, but only where a look just before still sees nothing of it, and no other change.
        """
        # `retry` calls `attempt` several times: what was sent, and what Twilio took, outlasts each of them.
        sent = taken = False

        def attempt() -> Settings | None:
            nonlocal sent, taken
            if taken:
                return self._read_back(change, wanted)
            self._pace.wait()
            if sent:
                seen = read_live(self._api, change.service_sid)
                if seen is None or not same(before, seen):
                    return seen
            sent = True
            try:
                self._api.post("conversations", notifications_path(change.service_sid), form)
            except TransientTwilioError:  # done or not: what is live shows it
                after = read_live(self._api, change.service_sid)
                if after is not None and same(before, after):
                    raise
                return after
            except TwilioError:
                self._refused(change, number, wanted)
                raise
            taken = True
            return self._read_back(change, wanted)

        form = {FIELD_BY_PATH[path].form: form_value(value) for path, value in wanted.items()}
        return self._api.retry(attempt)

    def _refused(self, change: Change, number: int, wanted: Settings) -> None:
        """Journal what is live after a write that Twilio has refused; where nothing can be seen, it stays open."""
        with suppress(TwilioError):
            after = read_live(self._api, change.service_sid)
            arrived = after is None or len(differing(wanted, after)) < len(wanted)
            self._journal.end(number, "failed" if arrived else "void", after)

    def _read_back(self, change: Change, wanted: Settings) -> Settings | None:
        """What is live after a write; some times more where it is not as wanted, because reads can lag."""
        live = read_live(self._api, change.service_sid)
        for seconds in READ_AGAIN:
            if live is not None and not differing(wanted, live):
                break
            self._api.pause(seconds)
            live = read_live(self._api, change.service_sid)
        return live


def _foreign(change: Change, wanted: Settings, live: Settings, *, begun: bool) -> tuple[str, ...]:
    """The paths that somebody else has set since the plan was made.

    Where a write of ours was begun, a field may be as it was or as we want it: that is as far as it came.
    """
    changed = {*differing(change.existing, live), *differing(live, change.existing)}
    ours = {path for path in wanted if begun and not differing({path: wanted[path]}, live)}
    return tuple(sorted((changed - ours) | (unreadable_of(live) & set(wanted))))


def _shown(path: str, settings: Settings) -> str:
    if path in unreadable_of(settings):
        return "of a type that is not documented"
    value = settings.get(path)
    return "not set" if value is None else form_value(value)
