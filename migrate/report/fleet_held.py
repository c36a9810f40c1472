"""The terminal's view of a fleet's folder: its accounts, and how far each stage is."""

from __future__ import annotations

from rich.text import Text

from migrate.fleet.choosing import USABLE
from migrate.fleet.folder import AccountRecord, FleetManifest, StageRecord
from migrate.fleet.outcome import AccountOutcome
from migrate.model.text import count, printable
from migrate.report.fleet import VERDICTS, Row, append_rows, tally_of, verdict
from migrate.report.layout import BREAK, table
from migrate.report.limit import more
from migrate.report.wording import when

_WHERE = "use --json"
# The stages in the order of the work; several may end within one second.
_ORDER = ("extract", "map", "run", "plan", "rehearse", "apply", "verify", "health", "rollback")


def fleet_held_view(manifest: FleetManifest, folder: str) -> Text:
    """A line for each account, the worst first, with what each stage brought; and each stage over all of them."""
    order = [*VERDICTS]
    rows = [_row(sid, account) for sid, account in manifest.accounts.items()]
    rows.sort(key=lambda row: (order.index(row.verdict), row.sid))
    text = append_rows(Text(), rows)
    text.append(more(len(rows), "account", _WHERE))
    there = {stage for account in manifest.accounts.values() for stage in account.stages}
    stages = [stage for stage in _ORDER if stage in there] + sorted(there - {*_ORDER})
    main = manifest.main_account_sid
    of = f"{count(len(manifest.accounts), 'account')}{f' {BREAK}(main account {main})' if main else ''}"
    text.append("\n" if rows else "")
    return text.append(
        table([("Fleet", folder), ("Accounts", of), *((one, _stage(manifest, one)) for one in stages)])
    )


def _row(sid: str, account: AccountRecord) -> Row:
    """An account by what its latest stage brought, with all of them in the order in which they ended."""
    stages = sorted(
        account.stages.items(), key=lambda stage: (stage[1].at, _ORDER.index(stage[0]) if stage[0] in _ORDER else 0)
    )
    said = " · ".join(f"{name} {_verdict(sid, record)}" for name, record in stages)
    last = stages[-1][1] if stages else None
    if last is None and account.status not in USABLE:
        return Row("left out", sid, account.friendly_name, "", "", f"it is {account.status}")
    status = account.status if account.status not in USABLE else ""
    word = _verdict(sid, last) if last else "not begun"
    return Row(word, sid, account.friendly_name, status, said, printable(last.reason) if last else "")


def _verdict(sid: str, record: StageRecord) -> str:
    return verdict(AccountOutcome(sid, "", "", record.state, record.exit_code))


def _stage(manifest: FleetManifest, stage: str) -> str:
    """What a stage has brought over all accounts, and when it ended last."""
    records = {sid: account.stages[stage] for sid, account in manifest.accounts.items() if stage in account.stages}
    last = max(record.at for record in records.values())
    return f"{tally_of(_verdict(sid, record) for sid, record in records.items())}; {BREAK}last at {when(last)}"
