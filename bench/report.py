"""Reports of an account with many services: how large they are, and how soon the HTML one opens; run by `make bench`.

A real browser opens the page and filters it. The best time counts, because other work on the machine can only make a
run slower.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from bench.measure import target
from migrate.load.limits import OF_A_PLAN, Ground, violations
from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_config import Settings
from migrate.report.html import plan_page
from migrate.report.layout import fitted
from migrate.report.markdown import plan_report
from migrate.report.text import plan_view
from tests.browser import Page, browser, known_browser

FULL = 5_000  # services, what the targets are for
BINDINGS = 4  # of each service, all of which are examples of its findings
CODES = 6  # of findings, each in every service
DRAWN = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
# What is written into the filter: nearly nothing holds the first, everything the second.
WORDS = ("Service 4321", "service")


@click.command()
@click.option("--services", default=FULL, show_default=True, help="Services of the plan.")
@click.option("--rounds", default=3, show_default=True, help="How often the page is opened.")
def main(services: int, rounds: int) -> None:
    """Print sizes and times, and whether the targets are met."""
    plan = make_plan(services)
    print(f"\nReports of {services:,} services that change, with {len(plan.findings):,} findings; best of {rounds}")
    began = time.perf_counter()
    refusals = tuple(violations(Ground.of_plan(plan), OF_A_PLAN))
    page = plan_page(plan, refusals).encode()
    print(f"  HTML      {len(page):12,} bytes, made in {time.perf_counter() - began:.1f} s")
    print(f"  Markdown  {len(plan_report(plan, refusals).encode()):12,} bytes")
    lines = fitted(plan_view(plan, refusals=refusals), 80).plain.count("\n")
    print(f"  terminal  {lines:12,} lines")
    if not known_browser():
        print("  how soon the page opens is not measured: no headless browser is on the PATH")
        return
    opened, filtered = _in_a_browser(page, rounds)
    print(f"  opened in {opened:.2f} s, filtered in {filtered:.2f} s")
    if services == FULL:
        target("MB of HTML", len(page) / 1e6, 5, least=False)
        target("lines on the terminal", lines, 500, least=False)
        target("seconds until it is open", opened, 3, least=False)
        target("seconds until it is filtered", filtered, 1, least=False)


def make_plan(services: int) -> Plan:
    """A plan that switches on a push in each service, and names all bindings of each in each of its findings."""
    sids = [f"IS{_digits('IS', number)}" for number in range(services)]
    fields = ("new_message.enabled", "new_message.template")
    changes, findings = [], []
    for number, sid in enumerate(sids):
        desired: Settings = dict(zip(fields, (True, f"Service {number}: ${{MESSAGE}}"), strict=True))
        changes.append(Change(sid, f"Service {number}", {"new_message.enabled": False}, desired, fields))
        bindings = tuple(f"BS{_digits(sid, place)}" for place in range(BINDINGS))
        findings += [Finding(code, sid, "new_message", BINDINGS, bindings) for code in [*CATALOGUE][:CODES]]
    return Plan(
        account_sid="AC" + "0" * 32,
        target="https://conversations.example.test",
        as_of="2026-06-15T08:00:00+00:00",
        snapshot="sha256:" + "1" * 64,
        rules="sha256:" + "2" * 64,
        push_config="sha256:" + "3" * 64,
        bindings={"carried": services * BINDINGS},
        services={change.service_sid: change.friendly_name for change in changes},
        changes=tuple(sorted(changes, key=lambda change: change.service_sid)),
        unchanged=(),
        missing=(),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
    )


def _digits(what: str, number: int) -> str:
    """32 hexadecimal digits that nothing compresses, as those of SIDs."""
    return hashlib.sha256(f"{what} {number}".encode()).hexdigest()[:32]


def _in_a_browser(page: bytes, rounds: int) -> tuple[float, float]:
    """The seconds until the page is open and drawn, and until it is filtered by the slower of some words."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder, "report.html")
        file.write_bytes(page)
        with browser(Path(folder, "profile")) as tab:
            opened = [_seconds(lambda: _open(tab, file)) for _ in range(rounds)]
            # The first filter of a page also makes what is searched.
            filtered = []
            for words in WORDS:
                _open(tab, file)
                filtered.append(_seconds(lambda words=words: tab.value(_filter(words))))  # type: ignore[misc]
    return min(opened), max(filtered)


def _open(tab: Page, file: Path) -> None:
    tab.open(file)
    tab.value(DRAWN)


def _filter(words: str) -> str:
    """What somebody does who writes into the filter, in JavaScript, until it is drawn."""
    event = f"words.value = {json.dumps(words)}; words.dispatchEvent(new Event('input'))"
    return f"{event}; {DRAWN}"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(f"{os.cpu_count()} processors")
    main()
