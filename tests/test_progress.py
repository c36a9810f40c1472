"""Progress: how far an extract is, for whoever looks at standard error, and never a word of it in the result."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from migrate.cli import progress as views
from migrate.cli.console import Screen
from migrate.cli.progress import bars, lines
from migrate.extract.progress import ExtractProgress
from migrate.standin.faults import Faults
from migrate.twilio_api.retry import RetryPolicy
from tests.conftest import Run, Serve, service_sid, tiny_world

ONE, TWO = service_sid(1), service_sid(2)
SECONDS = 30  # after which a test gives up
LINE = re.compile(
    r"^(?P<rows>[\d,]+)( of about (?P<expected>[\d,]+))? bindings · (?P<done>[\d,]+) of (?P<chains>[\d,]+) chains complete"
    r" · (?P<pages>[\d,]+) pages, (?P<retries>[\d,]+) retries, (?P<now>[\d,]+) requests under way"
    r"( · waiting: (?P<trouble>.*))? · (?P<speed>[\d,]+) bindings/s$"
)


def read(line: str) -> dict[str, Any]:
    """The numbers of a line."""
    found = LINE.match(line)
    assert found, line
    return found.groupdict()


def number(text: str) -> int:
    return int(text.replace(",", ""))


# --- lines ------------------------------------------------------------------------------------------------


class Reader:
    """Takes lines, and says when there are enough of them."""

    def __init__(self, enough: int) -> None:
        self.lines: list[str] = []
        self._enough = enough
        self._there = threading.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == self._enough:
            self._there.set()

    def wait(self) -> None:
        assert self._there.wait(SECONDS)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is due at nearly every moment."""
    monkeypatch.setattr(views, "SECONDS_BETWEEN_LINES", 0.005)


@pytest.mark.usefixtures("often")
def test_a_line_has_the_numbers_of_all_services_together() -> None:
    progress = ExtractProgress({ONE: 4000, TWO: 1000})
    progress.requests_now = lambda: 7
    progress.add(ONE, rows=1200, read=1200, pages=12, retries=3, chains=3, chains_done=1)
    progress.add(TWO, rows=34, read=34, pages=1, chains=1, chains_done=1)
    with lines(said := Reader(1), progress):
        said.wait()
    found = read(said.lines[0])
    assert (number(found["rows"]), number(found["expected"])) == (1234, 5000)
    assert (found["done"], found["chains"], found["pages"], found["retries"], found["now"]) == (
        "2",
        "4",
        "13",
        "3",
        "7",
    )
    assert found["trouble"] is None


@pytest.mark.usefixtures("often")
def test_lines_go_on_with_what_has_changed_and_end_with_the_run() -> None:
    progress = ExtractProgress()
    progress.add(ONE, rows=1, read=1, pages=1, chains=2)
    with lines(said := Reader(2), progress):
        said.wait()
        progress.add(ONE, rows=1, read=1, pages=1, chains_done=1)
        progress.trouble = lambda: "a storm"
        after = len(said.lines)
        while len(said.lines) < after + 2:
            threading.Event().wait(0.001)
    there = len(said.lines)
    first, last = read(said.lines[0]), read(said.lines[-1])
    assert (first["rows"], first["done"], first["trouble"]) == ("1", "0", None)
    assert (last["rows"], last["done"], last["trouble"]) == ("2", "1", "a storm")
    assert last["expected"] is None
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]
    assert len(said.lines) == there


@pytest.mark.usefixtures("often")
def test_thousands_of_chains_are_told_as_other_numbers_are() -> None:
    progress = ExtractProgress()
    progress.add(ONE, chains=1800, chains_done=1700)
    with lines(said := Reader(1), progress):
        said.wait()
    assert " · 1,700 of 1,800 chains complete · " in said.lines[0]


def test_once_all_has_come_a_line_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "SECONDS_BETWEEN_LINES", 0.001)
    progress, due = ExtractProgress(), threading.Semaphore(0)

    def requests_now() -> int:
        due.release()  # it is asked for each line, said or not
        return 0

    progress.requests_now = requests_now
    progress.add(ONE, rows=5, read=5, chains=1)
    said: list[str] = []

    def wait(times: int) -> None:
        for _ in range(times):
            assert due.acquire(timeout=SECONDS)

    with lines(said.append, progress):
        wait(4)
        assert len(said) >= 3, "while something is to come it goes on"
        progress.add(ONE, chains_done=1)
        wait(8)
        before = len(said)
        wait(5)
        assert len(said) == before
        progress.add(ONE, rows=-1)
        wait(3)
    assert [read(line)["rows"] for line in said if read(line)["done"] == "1"] == ["5", "4"]


def test_what_is_over_before_a_line_is_due_gets_none() -> None:
    with lines(said := Reader(1), ExtractProgress()):
        pass
    assert said.lines == []


@pytest.mark.usefixtures("often")
def test_lines_end_with_a_run_that_fails_too() -> None:
    said = Reader(1)

    def fail() -> None:
        said.wait()
        raise OSError("full")

    with pytest.raises(OSError, match="full"), lines(said, ExtractProgress()):
        fail()
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


# --- through the command line, where standard error is no terminal -------------------------------------------


def slow(**more: Any) -> Faults:
    return Faults(latency=0.03, **more)


def world() -> dict[str, Any]:
    return tiny_world(bindings=[{"count": 40, "binding_type": ["apn", "fcm"]}])


@pytest.mark.usefixtures("often")
def test_a_slow_extract_prints_plain_lines_on_standard_error_and_only_there(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(world(), faults=slow())
    result = run("extract", "--out", tmp_path / "s", "--page-size", 2)
    assert result.exit_code == 0, result.output
    told = [read(line) for line in result.stderr.splitlines()]
    assert len(told) > 2
    assert "\x1b" not in result.stderr
    assert "chains complete" not in result.stdout
    counted = [number(each["rows"]) for each in told]
    assert counted == sorted(counted)
    assert counted[-1] <= 40
    assert {each["chains"] for each in told} <= {"0", "1", "2", "3"}
    assert told[-1]["chains"] == "3"
    assert told[-1]["done"] in ("1", "2", "3"), "the list without a row ends at once"
    assert any(number(each["now"]) for each in told)
    assert {each["expected"] for each in told} == {None}


@pytest.mark.usefixtures("often")
def test_with_an_earlier_snapshot_the_lines_say_how_many_are_to_come(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(world())
    assert run("extract", "--out", tmp_path / "old").exit_code == 0
    serve(world(), faults=slow())
    result = run("extract", "--out", tmp_path / "s", "--page-size", 2, "--expect", tmp_path / "old")
    assert result.exit_code == 0
    told = {read(line)["expected"] for line in result.stderr.splitlines()}
    assert told - {None} == {"40"}, "none before the services are known"


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_what_is_expected_must_be_a_snapshot(tmp_path: Path, run: Run, serve: Serve, folder: str) -> None:
    server = serve(world())
    (tmp_path / "empty").mkdir()
    result = run("extract", "--out", tmp_path / "s", "--expect", tmp_path / folder)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is not a snapshot" in result.stderr
    assert server.world.requests == 0


@pytest.mark.usefixtures("often")
def test_the_result_as_json_stays_one_document(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(world(), faults=slow())
    result = run("extract", "--out", tmp_path / "s", "--page-size", 2, "--json")
    assert json.loads(result.stdout)["rows"] == 40
    assert [read(line) for line in result.stderr.splitlines()]


def test_a_quick_run_prints_nothing_but_its_result(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(world())
    for command in ("extract", "run"):
        result = run(command, "--out", tmp_path / command)
        assert (result.exit_code, result.stderr) == (0, "")


def wait_for_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request that is to be tried again wait until a line has told of it."""
    told = threading.Event()
    say = Screen.say

    def heard(self: Screen, message: str) -> None:
        say(self, message)
        if "waiting" in message:
            told.set()

    monkeypatch.setattr(Screen, "say", heard)
    monkeypatch.setattr(RetryPolicy, "sleep", lambda self, seconds: told.wait(SECONDS))


@pytest.mark.usefixtures("often")
def test_what_a_request_waits_for_is_shown_and_names_nobody(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "somebody@example.com"
    serve(tiny_world(bindings=[{"count": 20, "identity": secret}]), faults=slow(rate=0.5, kinds=("503",), seed=2))
    wait_for_a_line(monkeypatch)
    (tmp_path / "people.txt").write_text(f"{secret}\nsomebody-else@example.com\n")
    for options in (["--identity", secret], ["--identity-file", tmp_path / "people.txt"]):
        out = tmp_path / str(options[0]).strip("-")
        result = run("extract", "--out", out, "--page-size", 2, "--service", ONE, *options)
        assert result.exit_code == 0, result.output
        told = [read(line) for line in result.stderr.splitlines()]
        troubles = {each["trouble"] for each in told if each["trouble"]}
        assert any("answered 503" in trouble for trouble in troubles)
        assert any(f"/Services/{ONE}" in trouble for trouble in troubles)
        assert "example.com" not in result.stderr
        assert not [trouble for trouble in troubles if "PageToken" in trouble]
        assert max(number(each["retries"]) for each in told) > 0


# --- bars, where it is one ----------------------------------------------------------------------------------


def drawn(
    progress: ExtractProgress, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 10, width: int = 160
) -> list[str]:
    """The last picture on a terminal without colours, so many seconds after the beginning: its lines."""
    clock = iter([1000.0])
    monkeypatch.setattr(views, "time", SimpleNamespace(monotonic=lambda: next(clock, 1000.0 + seconds)))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=40, no_color=True, markup=False, emoji=False)
    with bars(console, progress):
        pass
    shown = out.getvalue()
    assert "\x1b[" in shown
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", shown).split("\n") if line.strip()]


def line_of(picture: list[str], service: str) -> str:
    (found,) = {line for line in picture if line.startswith(service)}
    return found


def test_a_bar_has_a_services_numbers_and_what_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({ONE: 4000})
    progress.add(ONE, rows=1000, read=1000, pages=12, retries=3, chains=2, chains_done=1)
    progress.add(TWO, rows=7, read=7, pages=1, chains=1)
    progress.requests_now = lambda: 5
    picture = drawn(progress, monkeypatch)
    line = line_of(picture, ONE)
    for shown in ("1,000 bindings", "100/s", "12 pages", "3 retries", "about 30 s left"):
        assert shown in line
    assert "left" not in line_of(picture, TWO), "without an earlier snapshot nobody knows"
    assert any("5 requests under way" in line for line in picture)
    assert line.count("━") == 5, "a quarter of the bar's twenty cells"


def test_on_80_columns_services_are_told_apart_and_no_number_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({ONE: 400_000, TWO: 400_000})
    progress.add(ONE, rows=100_000, read=100_000, pages=100, retries=3, chains=2)
    progress.add(TWO, rows=100_000, read=100_000, pages=100, retries=3, chains=2)
    picture = drawn(progress, monkeypatch, seconds=90, width=80)
    assert max(map(len, picture)) <= 80
    for ending in ("000001", "000002"):
        line = line_of(picture, f"IS…{ending}")
        for shown in ("100,000 bindings", "1,111/s", "100 pages", "3 retries", "4 min 30 s left"):
            assert shown in line


@pytest.mark.parametrize("width", [160, 138, 137, 120, 100, 85, 80, 72, 60, 50, 40, 28])
def test_at_every_width_services_are_told_apart_and_no_number_is_cut(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    progress = ExtractProgress({ONE: 9_876_543, TWO: 9_876_543})
    for service in (ONE, TWO):
        progress.add(service, rows=5_234_567, read=1_234_567, pages=12_346, retries=1_204, chains=2)
    picture = drawn(progress, monkeypatch, seconds=300, width=width)
    rows = {line for line in picture if line.startswith("IS")}
    assert max(map(len, picture)) <= width
    assert {line.split()[0][-6:] for line in rows} == {"000001", "000002"}
    details = ["18 min 48 s left", "4,115/s", "━", "12,346 pages", "1,204 retries"]
    for row in rows:
        shown = [detail in row for detail in details]
        assert shown == sorted(shown, reverse=True), "the last of them goes first"
        known = "".join(detail for detail, is_shown in zip(details, shown, strict=True) if is_shown)
        numbers = re.sub(r"^\S+|[━╸ ]|about", "", row)
        assert sorted("5,234,567bindings" + re.sub(r"[━ ]", "", known)) == sorted(numbers), "nothing is there in part"
    assert any(ONE in row for row in rows) == (width >= 138)
    assert all("retries" in row for row in rows) == (width >= 88)


def test_what_is_narrower_than_any_form_is_cut_at_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress()
    progress.add(ONE, rows=1_234_567, chains=1)
    assert max(map(len, drawn(progress, monkeypatch, width=20))) <= 20


def test_of_more_services_than_the_screen_has_lines_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress()
    for number in range(1, 1_601):
        progress.add(service_sid(number), chains=1)
    progress.trouble = lambda: "Twilio answered 429"
    picture = drawn(progress, monkeypatch)
    assert len({line for line in picture if line.startswith("IS")}) == 37
    assert "and 1,563 more services · 0 requests under way" in picture
    assert "Twilio answered 429" in picture


def test_the_time_left_is_told_by_the_speed_of_this_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({ONE: 5000})
    progress.add(ONE, rows=4000, chains=1)  # from before an interruption
    assert "left" not in line_of(drawn(progress, monkeypatch), ONE)
    progress.add(ONE, rows=500, read=500, pages=1)
    line = line_of(drawn(progress, monkeypatch, seconds=60), ONE)
    assert "about 1 min left" in line
    assert "8/s" in line


def test_a_service_that_has_grown_since_is_not_a_negative_time_away(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({ONE: 10})
    progress.add(ONE, rows=500, read=500, pages=1, chains=1)
    assert "about 0 s left" in line_of(drawn(progress, monkeypatch), ONE)


def test_a_service_all_of_whose_chains_have_ended_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({ONE: 4000, TWO: 0})
    progress.add(ONE, rows=1000, read=1000, pages=12, chains=2, chains_done=2)
    progress.add(TWO, chains=1, chains_done=1)
    for service in (ONE, TWO):
        line = line_of(drawn(progress, monkeypatch), service)
        assert line.endswith("complete")
        assert line.count("━") == 20
        assert "left" not in line


def test_what_is_complete_goes_below_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress()
    progress.add(ONE, rows=1, chains=1, chains_done=1)
    progress.add(TWO, rows=1, chains=1)
    services = [line[:34] for line in drawn(progress, monkeypatch) if line.startswith("IS")]
    assert services[:2] == [TWO, ONE]


def test_before_anything_has_come_there_is_a_picture_already(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(ExtractProgress(), monkeypatch, seconds=0)
    progress = ExtractProgress({ONE: 100})
    progress.add(ONE, chains=1)
    assert "0 bindings" in line_of(drawn(progress, monkeypatch, seconds=0), ONE)


@pytest.mark.parametrize("width", [160, 60])
def test_what_a_request_waits_for_is_shown_in_one_line_whatever_it_says(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    progress = ExtractProgress()
    progress.add(ONE, chains=1)
    progress.trouble = lambda: "[red]https://chat.twilio.com[/red] answered 503 :warning: " + "and more " * 50
    picture = drawn(progress, monkeypatch, width=width)
    (trouble,) = {line for line in picture if "answered" in line or "[red]" in line}
    assert trouble.startswith("[red]https://chat.twilio.com[/red] answered 503"[: width - 1])
    assert len(trouble) <= width
    assert {line for line in picture if "more" in line} <= {trouble}


@pytest.mark.parametrize("total", [None, 4000])
def test_a_bar_draws_on_however_the_numbers_change(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    """Also when a chain begins anew, and takes its rows away again."""
    progress = ExtractProgress({ONE: total} if total else {})
    progress.add(ONE, rows=100, read=100, pages=1, chains=1)
    progress.add(ONE, rows=-100)
    assert "0 bindings" in line_of(drawn(progress, monkeypatch), ONE)


def test_bars_end_with_a_run_that_fails_too() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(OSError, match="full"), bars(console, ExtractProgress()):
        raise OSError("full")
    with bars(console, ExtractProgress()):  # the screen is free again
        pass


def said(
    progress: ExtractProgress, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None
) -> list[str]:
    """Two lines of progress; `then` happens between them."""
    monkeypatch.setattr(views, "SECONDS_BETWEEN_LINES", 0.05)
    told: list[str] = []
    enough = threading.Event()

    def say(line: str) -> None:
        told.append(line)
        then()
        if len(told) > 1:
            enough.set()

    with views.lines(say, progress):
        assert enough.wait(20)
    return told


def test_the_speed_is_that_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress()
    progress.add(service_sid(1), rows=1_000_000, chains=1)  # stored before an interruption
    assert said(progress, monkeypatch)[0].endswith(" 0 bindings/s")


def test_a_chain_that_begins_anew_is_not_read_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress()
    progress.add(service_sid(1), rows=1_000, read=1_000, chains=1)
    assert "-" not in said(progress, monkeypatch, lambda: progress.add(service_sid(1), rows=-100))[1]


def test_only_what_is_asked_for_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ExtractProgress({service_sid(1): 10, service_sid(2): 10})
    progress.add(service_sid(1), chains=1)
    assert said(progress, monkeypatch)[0].startswith("0 of about 10 bindings")
