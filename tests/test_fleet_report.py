"""The views of a fleet: of a thousand accounts the worst come first, and nothing that a name holds acts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from migrate.fleet.applying import Planned
from migrate.fleet.outcome import AccountOutcome, Block, FleetResult
from migrate.model.plan import Change
from migrate.report.fleet import MOST_NAMED, fleet_view, numbers, verdict
from migrate.report.fleet_decision import fleet_decision
from migrate.report.fleet_markdown import fleet_report
from migrate.report.html.fleet import fleet_page
from migrate.report.layout import fitted
from migrate.report.limit import MOST_SHOWN
from migrate.report.markdown import LARGEST
from tests.conftest import service_sid
from tests.plans import change, plan_of

MANY = 1_000
HOSTILE = "<script>alert(1)</script> \x1b[31m| `x` [a](javascript:b) \u202e"


def sid(number: int) -> str:
    return f"AC{number:032x}"


def fleet(*odd: AccountOutcome, many: int = MANY, blocks: tuple[Block, ...] = ()) -> FleetResult:
    """A fleet in which all is well but for some accounts, which are the last by SID."""
    well = (
        AccountOutcome(
            sid(number), f"Customer {number}", "active", "done", figures={"services": 2, "bindings": 1_000, "gone": 0}
        )
        for number in range(many)
    )
    return FleetResult("run", Path("fleet"), (*well, *odd), blocks=blocks)


REFUSED = AccountOutcome(sid(MANY), HOSTILE, "active", "failed", 1, "Twilio refused the credentials (401)")
SUSPENDED = AccountOutcome(sid(MANY + 1), "Left", "suspended", "left-out", 0, "it is suspended")
BLOCKED = AccountOutcome(sid(MANY + 2), "Acme", "active", "done", 4, "the findings block it", figures={"blockers": 1})
SWITCH = "new_message.enabled"
BLOCKS = (
    Block("rare", "warning", (sid(1),), 1, 1),
    Block("common", "blocker", tuple(map(sid, range(300))), 700, 900),
    Block("many-services", "refused", (sid(2), sid(3)), 0, 2),
)
WHOLE = fleet(REFUSED, SUSPENDED, BLOCKED, blocks=BLOCKS)


def test_the_terminal_has_the_worst_first_the_sums_and_fits_80_columns() -> None:
    shown = fitted(fleet_view(WHOLE, "see fleet/report.html"), 80).plain
    lines = shown.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 4 * MOST_SHOWN
    places = [
        shown.index(one)
        for one in (f"failed    {REFUSED.sid}", f"refused   {BLOCKED.sid}", f"left out  {SUSPENDED.sid}")
    ]
    assert places == sorted(places)
    assert f"… and {MANY + 3 - MOST_SHOWN:,} more accounts, of {MANY + 3:,} in all: see fleet/report.html" in shown
    assert "1 failed, 1 refused, 1 left out, 1,000 done." in shown
    assert "2,000 services · 1,000,000 bindings · 1 blocker" in shown
    assert "\x1b" not in shown


def test_what_blocks_is_listed_by_severity_with_accounts_and_services() -> None:
    shown = fitted(fleet_view(WHOLE, "x"), 80).plain.partition("What blocks where")[2]
    places = [shown.index(code) for code in ("many-services", "common", "rare")]
    assert places == sorted(places)
    assert re.search(r"common +300 accounts, 700 services", shown)
    assert f"and {300 - MOST_NAMED} more" in shown


def test_the_markdown_report_is_short_enough_for_a_ticket_however_many_accounts() -> None:
    some = fleet_report(fleet(REFUSED, many=3), {sid(1)})
    assert f"[`{sid(1)}`]({sid(1)}/report.html)" in some
    assert f"[`{sid(2)}`]" not in some
    long = fleet_report(fleet(REFUSED, many=4 * MANY, blocks=BLOCKS))
    assert len(long.encode()) <= LARGEST
    assert "`report.html` beside this report has all" in long
    assert long.index(REFUSED.sid) < long.index(sid(0), long.index("## Accounts"))
    assert "| <script" not in long  # it stands within code, where it is text


def test_the_page_leads_to_the_accounts_reports_and_lets_no_name_act() -> None:
    page = fleet_page(WHOLE, {sid(5)})
    assert f'<a href="{sid(5)}/report.html">' in page
    assert f'href="{sid(6)}/report.html"' not in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert page.count('data-item="account"') == MANY + 3
    assert page.index(f'id="{REFUSED.sid}"') < page.index(f'id="{sid(0)}"')
    assert "Some accounts are not finished" in page
    assert "All accounts are as they should be" in fleet_page(fleet(SUSPENDED, many=1))


@pytest.mark.parametrize(
    ("state", "exit_code", "word"),
    [("done", 0, "done"), ("earlier", 0, "earlier"), ("earlier", 4, "refused"), ("done", 3, "pending"),
     ("failed", 5, "stale"), ("failed", 6, "partly"), ("failed", 1, "failed"), ("failed", 2, "failed"),
     ("interrupted", 130, "interrupted"), ("not-begun", 0, "not begun"), ("left-out", 0, "left out"),
     ("left-out", 4, "refused")],
)  # fmt: skip
def test_each_account_has_a_verdict(state: str, exit_code: int, word: str) -> None:
    assert verdict(AccountOutcome(sid(1), "", "active", state, exit_code)) == word  # type: ignore[arg-type]


def test_figures_read_as_a_phrase_in_the_same_order_wherever_they_come_from() -> None:
    assert numbers({"wave": "first", "live_devices": 2_000, "ready": 5, "services": 1, "blockers": 0}) == (
        "1 service · 5 ready · 2,000 live devices · wave: first"
    )


def test_the_decision_has_the_sum_of_all_accounts_and_first_what_goes_off() -> None:
    on = plan_of((change(1, "Chat"),))
    goes_off = Change(service_sid(1), "Chat", {SWITCH: True}, {SWITCH: False}, (SWITCH,))
    off = plan_of((goes_off,))
    planned = [Planned(sid(number), f"Customer {number}", on) for number in range(MOST_SHOWN + 5)]
    planned.append(Planned(sid(99), "Acme", off, (("switches-off", "it would switch off what is on now; x"),)))
    shown = fitted(fleet_decision(planned, [("Conversations", "https://c")], "see x"), 80).plain
    assert shown.splitlines()[0].startswith(f"  {sid(99)}")
    assert "OFF: new_message (1 service)" in shown
    assert "To be applied: 51 settings of 26 services in 26 accounts." in shown
    assert "Switches off   new_message (1 service)" in shown
    assert "Switches on    new_message (25 services)" in shown
    assert "Lifted         [switches-off] it would switch off what is on now" in shown
    assert "… and 6 more accounts, of 26 in all: see x" in shown
