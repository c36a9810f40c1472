"""The HTML report in a real browser: nothing on its console, filter and sort at work, at home on a phone and on paper."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.model.text import printable
from migrate.report import html
from migrate.report.html import FIRST, plan_page
from tests.browser import Page, browser
from tests.conftest import Demo, service_sid
from tests.plans import NAMES, change, hostile_plan, many, plan_of, refusals

pytestmark = pytest.mark.long
ROWS = "[...document.querySelectorAll('table.services tbody tr:not([hidden])')]"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


@pytest.fixture
def tab(chromium: Page) -> Iterator[Page]:
    """A tab as wide as a desk's; whatever a test does in it, its console stays empty and nothing is fetched."""
    chromium.width(1280)
    chromium.prefer("light")
    chromium.said.clear()
    chromium.requests.clear()
    yield chromium
    chromium.value("new Promise((done) => setTimeout(done))")  # what was said last has arrived then
    assert chromium.said == []
    assert all(url.startswith("file:") for url in chromium.requests)
    assert chromium.requests


def show(tab: Page, folder: Path, plan: Plan) -> None:
    (folder / "report.html").write_text(plan_page(plan, refusals(plan)), "utf-8")
    tab.open(folder / "report.html")


def write(tab: Page, words: str) -> str:
    """Write into the filter; what is told of it."""
    tab.value(
        "const field = document.getElementById('words'); field.value = ''; field.focus(); 0".replace("const ", "")
    )
    tab.call("Input.insertText", text=words)
    if not words:
        tab.value("field.dispatchEvent(new Event('input'))")
    return str(tab.value("document.getElementById('told').textContent"))


def services(tab: Page) -> list[str]:
    """The SIDs in the list of services, in the order in which they are shown."""
    found: list[str] = tab.value(f"{ROWS}.map((row) => row.querySelector('.sid').textContent)")
    return found


def test_the_demo_shows_and_its_style_and_script_are_at_work(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    assert tab.value("document.querySelector('.verdict h2').innerText").endswith("Do not apply it yet")
    assert tab.value("getComputedStyle(document.querySelector('.old')).backgroundColor") == "rgb(255, 241, 238)"
    assert tab.value("document.getElementById('filter').hidden") is False
    assert tab.value("[...document.querySelectorAll('svg')].every((bar) => bar.getBoundingClientRect().width > 50)")


def test_the_policy_forbids_what_is_put_in_later(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    tab.value(
        "added = document.createElement('script'); added.textContent = 'window.ran = 1'; document.body.append(added)"
    )
    assert tab.value("'ran' in window") is False
    tab.value("fetch('https://example.test/').catch(() => 0).then(() => 0)")
    assert tab.said
    assert all("Content Security Policy" in said for said in tab.said)
    tab.said.clear()


def test_the_filter_leaves_what_holds_all_the_words(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    whole = len(services(tab))
    told = write(tab, "night SHIFT")
    plan = odd.json("plan.json")
    sid = service_sid(2)
    findings = sum(finding["service_sid"] == sid for finding in plan["findings"])
    total = len(plan["findings"])
    shown = "1 of 4 changes, 0 of 2 proposals, 0 of 4 push errors"
    assert told == f"Shown: 1 of {whole} services, {shown}, {findings} of {total} findings"
    assert services(tab) == [sid]
    shown = "[...document.querySelectorAll('#changes > article')].filter((item) => item.checkVisibility())"
    assert tab.value(f"{shown}.map((item) => item.id)") == [sid]
    assert tab.value("document.getElementById('finding-template-variable-unknown').checkVisibility()")
    assert not tab.value("document.getElementById('finding-identity-crowded').checkVisibility()")
    # A finding is found by its code, its severity, its remedy.
    assert write(tab, "blocker service-account").endswith(f"1 of {total} findings")
    assert write(tab, "no such thing").startswith("Shown: 0 of")
    assert write(tab, "") == "Shown: everything"
    assert len(services(tab)) == whole
    assert tab.value("[...document.querySelectorAll('[data-part]')].every((part) => !part.hidden)")


def test_a_link_leads_to_what_the_filter_hides(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    write(tab, "taxi")
    target = "document.getElementById('finding-binding-gcm')"
    assert not tab.value(f"{target}.checkVisibility()")
    tab.value("document.querySelector('#verdict a[href=\"#finding-binding-gcm\"]').click()")
    assert tab.value(f"{target}.checkVisibility() && document.getElementById('words').value === ''")
    assert tab.value("document.getElementById('told').textContent") == "Shown: everything"
    # One that leads to what is shown leaves the filter alone.
    write(tab, "gcm")
    tab.value("document.querySelector('#verdict a[href=\"#finding-binding-gcm\"]').click()")
    assert tab.value("document.getElementById('words').value") == "gcm"


def test_paper_tells_what_the_filter_leaves_out(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    seen = "['told', 'words'].map((id) => document.getElementById(id).checkVisibility())"
    for words, expected in (("", [False, False]), ("taxi", [True, False])):
        write(tab, words)
        tab.call("Emulation.setEmulatedMedia", media="print")
        try:
            assert tab.value(seen) == expected
        finally:
            tab.call("Emulation.setEmulatedMedia", media="")


def test_enter_in_the_filter_sends_nothing(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    write(tab, "acme")
    tab.value("sent = []; addEventListener('submit', (event) => { sent.push(event.defaultPrevented) })")
    tab.press("Enter", text="\r")
    assert tab.value("sent") == [True]
    assert services(tab) == [service_sid(1)]


def test_tables_are_sorted_by_click_and_by_key(tab: Page, tmp_path: Path) -> None:
    names = ["item 10", "item 9", "Zebra", "apple"]
    show(tab, tmp_path, plan_of(tuple(change(place, name) for place, name in enumerate(names))))
    column = "document.querySelectorAll('table.services thead th')"
    name = "row.cells[0].querySelector('bdi').textContent"
    tab.value(f"{column}[0].querySelector('button').click()")
    ascending = ["apple", "item 9", "item 10", "Left out", "Missing", "Unchanged", "Zebra"]
    assert tab.value(f"{ROWS}.map((row) => {name})") == ascending
    sorted_by = f"[...{column}].map((header) => header.getAttribute('aria-sort'))"
    assert tab.value(sorted_by) == ["ascending", None, None, None, None]
    tab.value(f"{column}[0].querySelector('button').focus()")
    tab.press("Enter", text="\r")
    assert tab.value(f"{ROWS}.map((row) => {name})") == ascending[::-1]
    assert tab.value(sorted_by) == ["descending", None, None, None, None]
    tab.press("Tab")
    tab.press("Tab")
    assert tab.value(f"document.activeElement === {column}[2].querySelector('button')")
    tab.press("Enter", text="\r")
    assert tab.value(f"{ROWS}.map((row) => row.cells[2].textContent)") == ["0", "0", "0", "2", "2", "2", "2"]
    assert tab.value(sorted_by) == [None, None, "ascending", None, None]


def test_numbers_are_sorted_as_numbers_and_findings_by_the_worst(tab: Page, tmp_path: Path) -> None:
    found = [Finding("binding-gcm", service_sid(place), "x", number) for place, number in enumerate((900, 4000, 30))]
    show(tab, tmp_path, plan_of((change(1, "x"),), *found, Finding("rule-unused", service_sid(9001))))
    header = "document.querySelectorAll('#finding-binding-gcm thead th')[2].querySelector('button')"
    tab.value(f"{header}.click()")
    rows = "document.querySelectorAll('#finding-binding-gcm tbody tr')"
    assert tab.value(f"[...{rows}].map((row) => row.cells[2].textContent)") == ["30", "900", "4,000"]
    worst = "document.querySelectorAll('table.services thead th')[4].querySelector('button')"
    tab.value(f"{worst}.click(); {worst}.click()")
    shown = tab.value(f"{ROWS}.map((row) => row.cells[4].textContent)")
    assert shown == ["1 blocker", "1 warning", "none", "none"]


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_hostile_names_stay_text(tab: Page, tmp_path: Path, name: str) -> None:
    show(tab, tmp_path, hostile_plan(name, name, name))
    assert tab.value("document.querySelector('#changes article h3 bdi').textContent") == printable(name)
    assert tab.value("document.querySelector('.value + details, .findings .value').textContent")
    assert tab.value("document.scripts.length") == 1
    assert tab.value("document.images.length") == 0
    assert tab.value("document.getElementById('changes').innerText").count(printable(name).split()[0]) > 2


def test_a_right_to_left_name_turns_nothing_else_round(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, plan_of((change(1, NAMES[3]),)))
    assert tab.value("getComputedStyle(document.querySelector('#changes h3 bdi')).direction") == "rtl"
    left = "document.querySelector('#changes h3 bdi').getBoundingClientRect().right"
    assert tab.value(f"{left} <= document.querySelector('#changes h3 .sid').getBoundingClientRect().left")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("which", ["demo", "hostile", "long"])
def test_no_width_makes_the_page_scroll_sideways(
    tab: Page, tmp_path: Path, odd: Demo, width: int, which: str
) -> None:
    plans = {
        "demo": Plan.from_json(odd.json("plan.json")),
        "hostile": hostile_plan(*NAMES[:3]),
        "long": hostile_plan("W" * 64, "W" * 178, "W" * 90),
    }
    tab.width(width)
    show(tab, tmp_path, plans[which])
    assert tab.value("document.documentElement.scrollWidth") <= width
    beyond = f"(element) => element.getBoundingClientRect().right > {width} + 1"
    seen = "[...document.querySelectorAll('main *, footer *')].filter((element) => !element.closest('.vh'))"
    assert tab.value(f"{seen}.filter({beyond}).map((element) => element.outerHTML.slice(0, 90))") == []


def test_on_a_phone_tables_are_tables_still_for_those_who_listen(tab: Page, odd: Demo) -> None:
    tab.width(360)
    tab.open(odd.folder / "report.html")
    tab.call("Accessibility.enable")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node.get("ignored")]
    assert roles.count("table") == tab.value("document.querySelectorAll('table').length")
    assert roles.count("columnheader") == tab.value("document.querySelectorAll('thead th').length")
    # Chromium knows it by itself; others need to be told.
    assert tab.value("document.querySelectorAll('td:not([role=cell]), tr:not([role=row])').length") == 0
    assert roles.count("rowheader") == tab.value("document.querySelectorAll('tbody th').length")
    assert {"banner", "navigation", "main", "search", "contentinfo", "status"} <= set(roles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_told_from_their_ground(tab: Page, odd: Demo, scheme: str) -> None:
    tab.prefer(scheme)
    tab.open(odd.folder / "report.html")
    dark = tab.value("getComputedStyle(document.documentElement).getPropertyValue('--page')") != "#ffffff"
    assert dark == (scheme == "dark")
    weak = tab.value(
        """(() => {
          const light = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
              .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (element) => {
            for (let at = element; at; at = at.parentElement) {
              const colour = getComputedStyle(at).backgroundColor;
              if (!/, 0\\)$/.test(colour)) return colour;
            }
            return "rgb(255, 255, 255)";
          };
          const weak = new Set();
          for (const element of document.querySelectorAll("body *")) {
            const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!words || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
            const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
            const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
            if (contrast < 4.5) weak.add(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
          }
          return [...weak];
        })()"""
    )
    assert weak == []


def test_it_prints_with_everything_open(tab: Page, odd: Demo) -> None:
    tab.open(odd.folder / "report.html")
    tab.value(
        "opened = 0; addEventListener('beforeprint', () => { opened = document.querySelectorAll('details[open]').length }); 0"
    )
    paper = tab.paper()
    assert paper.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type ?/Page\b", paper)) > 3
    assert tab.value("opened") == tab.value("document.querySelectorAll('details').length")
    assert tab.value("document.querySelectorAll('details[open]').length") == 0


def test_500_services_are_filtered_and_only_what_is_seen_is_drawn(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, many(500))
    assert write(tab, service_sid(499)) == "Shown: 1 of 503 services, 1 of 500 changes, 3 of 1500 findings"
    # Of so many, what is not seen is not drawn; it is there for whoever searches the page or prints it.
    drawn = "getComputedStyle(document.querySelector('#changes article')).contentVisibility"
    assert tab.value(drawn) == "auto"
    tab.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.value(drawn) == "visible"
    finally:
        tab.call("Emulation.setEmulatedMedia", media="")
    show(tab, tmp_path, many(5))
    assert tab.value(drawn) == "visible"


MADE = "[...document.querySelectorAll('[data-item]')].map((row) => row.outerHTML.replaceAll(/>\\s+</g, '><'))"
SHOWN = "document.querySelectorAll('table.services tbody tr').length"


def long_and_short(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> tuple[str, str]:
    """The same plan as a page whose rows its script makes, and as one that has them laid out; both the worst first."""
    monkeypatch.setattr(html, "MOST_WHOLE", 0)
    monkeypatch.setattr(html, "FIRST", 1)
    made = plan_page(plan, refusals(plan))
    monkeypatch.setattr(html, "FIRST", 10_000)
    return made, plan_page(plan, refusals(plan))


def test_what_the_script_makes_is_what_the_page_would_lay_out(
    tab: Page, tmp_path: Path, odd: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [plan_of((change(1, "x", "y" * 200), change(2, "", "")), Finding("rule-unused", None, "(a rule)", 3))]
    plans = [Plan.from_json(odd.json("plan.json")), *others, *(hostile_plan(name, name, name) for name in NAMES)]
    for plan in plans:
        made, laid_out = long_and_short(monkeypatch, plan)
        (tmp_path / "made.html").write_text(made, "utf-8")
        tab.open(tmp_path / "made.html")
        press = "for (let rest; (rest = document.querySelector('.rest:not([hidden]) button'));) rest.click()"
        tab.value(
            f"{press}; all('[tabindex=\"-1\"]:not(article, main)').forEach((row) => row.removeAttribute('tabindex'))"
        )
        found = tab.value(MADE)
        (tmp_path / "laid.html").write_text(laid_out, "utf-8")
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.open(tmp_path / "laid.html")
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
        tab.value(
            "for (const [selector, role] of [['table', 'table'], ['thead, tbody', 'rowgroup'], ['tr', 'row'], "
            "['thead th', 'columnheader'], ['tbody th', 'rowheader'], ['td', 'cell']]) "
            "document.querySelectorAll(selector).forEach((one) => one.setAttribute('role', role))"
        )
        assert found == tab.value(MADE)


def test_5000_services_open_and_are_filtered_in_seconds(tab: Page, tmp_path: Path) -> None:
    plan = many(5000, codes=6)
    began = time.monotonic()
    show(tab, tmp_path, plan)
    assert tab.value("document.querySelectorAll('*').length") < 15_000
    began = time.monotonic()
    tab.open(tmp_path / "report.html")
    opened, began = time.monotonic() - began, time.monotonic()
    assert write(tab, service_sid(4990)) == "Shown: 1 of 5003 services, 1 of 5000 changes, 6 of 30000 findings"
    assert services(tab) == [service_sid(4990)]
    assert (opened < 10, time.monotonic() - began < 5) == (True, True)  # bench/report.py has the targets
    assert tab.value("document.getElementById('without')") is None


def test_more_rows_come_when_they_are_asked_for(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, many(1000))
    assert tab.value(SHOWN) == FIRST
    told = "document.getElementById('told').textContent"
    assert tab.value(told) == "Shown: the first 50 rows of each long list"
    note = "document.querySelector('[data-rest=services]')"
    assert (
        tab.value(f"{note}.innerText").split("\n")[0].startswith("The first 50 of 1,003 are shown; the plan has all.")
    )
    tab.value(f"{note}.querySelector('button').click()")
    assert tab.value(SHOWN) == 2 * FIRST
    # Whoever goes by keys goes on at the first new row.
    assert tab.value(f"document.activeElement === document.querySelectorAll('table.services tbody tr')[{FIRST}]")
    assert write(tab, "service").startswith(
        "Found: 1000 of 1003 services, 1000 of 1000 changes, 3000 of 3000 findings."
    )
    assert tab.value(SHOWN) == FIRST
    write(tab, service_sid(7))
    assert not tab.value(f"{note}.checkVisibility()")
    assert write(tab, "") == "Shown: the first 50 rows of each long list"


def test_a_long_list_is_sorted_as_a_whole(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, many(1000))
    count = "document.querySelectorAll('#finding-binding-gcm thead th')[2].querySelector('button')"
    cell = "document.querySelector('#finding-binding-gcm tbody tr').cells[2].textContent"
    assert tab.value(cell) == "999"
    tab.value(f"{count}.click()")
    assert tab.value(cell) == "0"
    name = "document.querySelectorAll('table.services thead th')[0].querySelector('button')"
    tab.value(f"{name}.click()")
    assert services(tab)[0] == service_sid(9002)  # "Left out"


def test_a_link_leads_to_a_change_that_is_not_made_yet(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, many(1000))
    sid = service_sid(700)
    assert tab.value(f"document.getElementById('{sid}')") is None
    write(tab, sid)
    tab.value(f"document.querySelector('table.services a[href=\"#{sid}\"]').click()")
    assert tab.value(f"document.getElementById('{sid}').checkVisibility()")
    write(tab, "x")  # which no change has
    assert tab.value(f"document.getElementById('{sid}')") is None
    tab.value(f"location.hash = ''; location.hash = '#{sid}'; 0")
    tab.value("new Promise((done) => setTimeout(done, 100))")
    top = f"document.getElementById('{sid}').getBoundingClientRect().top"
    assert tab.value("document.getElementById('words').value") == ""
    assert 0 <= tab.value(top) < 800


def test_a_long_page_opens_at_what_its_address_names(tab: Page, tmp_path: Path) -> None:
    plan = many(1000)
    (tmp_path / "report.html").write_text(plan_page(plan, ()), "utf-8")
    tab.events.clear()
    tab.call("Page.navigate", url=f"{(tmp_path / 'report.html').as_uri()}#{service_sid(600)}")
    while "Page.loadEventFired" not in tab.events:
        tab.value("0")
    assert 0 <= tab.value(f"document.getElementById('{service_sid(600)}').getBoundingClientRect().top") < 800


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_hostile_names_stay_text_where_the_script_makes_the_rows(
    tab: Page, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "MOST_WHOLE", 0)
    show(tab, tmp_path, hostile_plan(name, name, name))
    assert tab.value("document.querySelector('#changes article h3 bdi').textContent") == printable(name)
    assert tab.value("document.querySelector('.findings .value').textContent") == printable(name)
    assert tab.value("document.scripts.length") == 2
    assert tab.value("document.images.length") == 0


def test_a_long_page_prints_what_it_shows_and_says_so(tab: Page, tmp_path: Path) -> None:
    show(tab, tmp_path, many(1000))
    assert tab.paper().startswith(b"%PDF-")
    tab.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.value("document.getElementById('told').checkVisibility()")
        assert (
            tab.value("document.querySelector('.rest').innerText")
            == "The first 50 of 1,003 are shown; the plan has all."
        )
    finally:
        tab.call("Emulation.setEmulatedMedia", media="")


def test_a_long_page_without_its_script_says_what_it_lacks(tab: Page, tmp_path: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        show(tab, tmp_path, many(1000))
        assert len(services(tab)) == FIRST
        assert tab.value("document.getElementById('without').checkVisibility()")
        assert "The first 50 of 1,003 are here." in tab.value("document.getElementById('services').innerText")
        dead = "[...document.querySelectorAll('a')].filter((link) => !document.getElementById(link.hash.slice(1)))"
        assert tab.value(f"{dead}.length") == 0
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_without_its_script_everything_is_shown(tab: Page, odd: Demo) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(odd.folder / "report.html")
        assert tab.value("document.getElementById('filter').checkVisibility()") is False
        assert len(services(tab)) == len(json.loads((odd.folder / "plan.json").read_bytes())["services"])
        assert tab.value("document.querySelectorAll('thead button').length") == 0
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
