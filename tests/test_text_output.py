"""Text output: it fits 80 columns, a terminal's own width and any encoding, and it aligns."""

from __future__ import annotations

import copy
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from migrate.cli.app import cli
from migrate.cli.console import Screen, spell_on
from migrate.model.text import lasting, printable, spelt
from migrate.rehearse.points import Conditions, Point, Rehearsal
from migrate.rehearse.scenario import POINTS
from migrate.report.coverage import coverage_view
from migrate.report.layout import BREAK, COLUMN, JOINT, fitted, grid, padded, sided, table, unbroken
from migrate.report.rehearsal import rehearsal_view
from migrate.report.wording import size
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from migrate.verify.coverage import Counts, Coverage, ServiceCoverage
from tests.conftest import ROOT, Demo

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

BINDING = "BS28aa61bf04c9d144f42a8c98026ef547"
# What `said` holds, by name: the arguments of each command, with the exit code that it has.
COMMANDS: dict[str, tuple[str, int]] = {
    "extract": ("extract --out snapshot", 0),
    "map": ("map snapshot --out mapped --csv devices.csv", 0),
    "explain": (f"explain mapped {BINDING}", 0),
    "load": ("load mapped --plan-out plan.json --report report.md", 0),
    "apply": ("load --plan plan.json --apply --yes --force switches-off --force blockers --force old-snapshot", 0),
    "rollback": ("rollback plan.journal.jsonl", 0),
    "verify": ("verify snapshot --pending pending.csv", 0),
    "retire": ("retire snapshot", 0),
    "purge": ("purge .", 0),
    "doctor": ("doctor", 0),
    "run": ("run --out out", 0),
}
# A word may be longer than the room that it has by itself (a path, an address), and a command to copy stays whole.
WHOLE = re.compile(r"^ *(?:\S+|chat-migrate .*)$")


def told(where: Path, environment: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """What each command says, one after the other, in a folder of their own."""
    before = Path.cwd()
    os.chdir(where)
    try:
        for name, (arguments, code) in COMMANDS.items():
            done = CliRunner(env=environment).invoke(cli, arguments.split(), prog_name="chat-migrate")
            assert done.exit_code == code, done.output
            yield name, done.stdout
    finally:
        os.chdir(before)


@pytest.fixture(scope="module", params=[80, pytest.param(60, marks=pytest.mark.long)])
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, odd_content: dict[str, Any]
) -> tuple[int, dict[str, str]]:
    """A width, and what all commands say at it in a pipe."""
    world = make_world(copy.deepcopy(odd_content))
    folder = tmp_path_factory.mktemp("text")
    with StandInServer(world) as server:
        environment: dict[str, str | None] = {
            "CHAT_MIGRATE_CHAT_URL": server.url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": server.url,
            "TWILIO_ACCOUNT_SID": world.account_sid,
            "TWILIO_AUTH_TOKEN": world.auth_token,
            "XDG_CONFIG_HOME": str(folder / "state"),
            "COLUMNS": None if request.param == 80 else str(request.param),
        }
        return request.param, dict(told(folder, environment))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_longer_than_the_screen_and_none_is_coloured_in_a_pipe(
    said: tuple[int, dict[str, str]], command: str
) -> None:
    width, texts = said
    lines = texts[command].splitlines()
    assert len(lines) >= 3
    beyond = [line for line in lines if cell_len(line) > width and not WHOLE.match(line)]
    assert not [line for line in beyond if cell_len(line.split()[-1]) <= width - 38]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u200e\ue000\ue001]", texts[command]), (
        "no escape, and no mark of the layout"
    )
    assert not [line for line in lines if line != line.rstrip()]


@pytest.mark.parametrize("command", ["extract", "map", "load", "rollback", "verify", "retire", "purge", "doctor"])
def test_what_is_broken_goes_on_below_its_own_beginning(said: tuple[int, dict[str, str]], command: str) -> None:
    """What is in the first column is a label, a heading or the beginning of a sentence, never the rest of one."""
    _, texts = said
    prose = ("Ready:", "Left alone", "Dry run:", "Next:")
    paragraph = False
    for line in texts[command].splitlines():
        paragraph = (paragraph and bool(line)) or line.startswith(prose)
        if not paragraph:
            assert re.match(r"(?: |$|~ |IS\d{32}|[A-Z]|fine|note|info|warning|blocker|remove|push_cred)", line), line


def test_numbers_stand_below_each_other(said: tuple[int, dict[str, str]]) -> None:
    width, texts = said
    for command in ("verify", "retire"):
        shown = texts[command].splitlines()
        numbers = [line for line in shown if re.search(r"^.{12}.*(?:\d+\.\d %|  -)$", line)]
        assert len(numbers) > 6
        assert len({len(line) for line in numbers}) == 1
        if width == 80:
            (heading,) = (line for line in shown if line.endswith("   ready"))
            assert len(heading) == len(numbers[0])


def test_one_that_is_ready_among_many_is_not_none_in_percent() -> None:
    platforms: dict[str | None, Counts] = {
        "apn": Counts(12_439, ready_device=4, pending=12_435),
        "fcm": Counts(7, pending=7),
    }
    service = ServiceCoverage("IS" + "0" * 32, "Acme", platforms)
    day = "2026-06-15T08:00:00"
    found = Coverage("AC" + "0" * 32, "sha256:0", day, "conversations", day, 4, narrowed=False, services=(service,))
    lines = fitted(coverage_view(found, "snapshot", [("Kept", "here")]), 80).plain.splitlines()
    for label, share in (("  apn", "< 0.1 %"), ("  fcm", "0.0 %"), ("All", "< 0.1 %")):
        (line,) = (line for line in lines if line.startswith(f"{label} "))
        assert line.endswith(f" {share}")


@pytest.mark.parametrize("seconds", [0.04, 93.2])
def test_a_rehearsal_fits_too(seconds: float) -> None:
    conditions = Conditions("mapped", "snapshot", "AC" + "0" * 32, "2026-06-15T08:00:00", 0, 0.1, 0.0)
    points = tuple(Point(name, meaning, "passed", seconds) for name, meaning, _ in POINTS)
    held = Rehearsal(conditions, "p", 5, {"old-snapshot": "it is " + "very " * 20 + "old"}, (), points, 1, 1, 3723.0)
    lines = fitted(rehearsal_view(held), 80).plain.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line for line in lines if line.endswith(lasting(seconds))]
    assert len(shown) == len(points)
    assert len({len(line) for line in shown}) == 1
    assert lines[-1] == "Passed: 10 passed, in 1 h 2 min"
    if seconds < 1:
        assert all(line.startswith("passed") for line in shown)


# --- terminals --------------------------------------------------------------------------------------------


def on_terminal(arguments: list[str], columns: int, **environment: str) -> str:
    """What the program writes to a terminal so wide."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "migrate", *arguments],
        cwd=ROOT, env={**ours, "TERM": "xterm", **environment}, stdout=child, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


def load(odd: Demo) -> list[str]:
    return ["load", str(odd.folder / "mapped"), "--replay", str(odd.cassette)]


@pytest.mark.parametrize("columns", [72, 100])
def test_a_terminal_gets_lines_of_its_own_width_in_colour(odd: Demo, columns: int) -> None:
    shown = on_terminal(load(odd), columns)
    assert "\x1b[32m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    longest = max(cell_len(line) for line in plain.splitlines() if not WHOLE.match(line))
    assert columns - 12 < longest <= columns
    assert "תמיכה בעברית\u200e" in plain, "what stands behind a name from right to left stays behind it"


def test_a_terminal_that_calls_itself_dumb_has_its_own_width_too(odd: Demo) -> None:
    shown = on_terminal(load(odd), 50, TERM="dumb").splitlines()
    assert not [line for line in shown if cell_len(line) > 50 and not WHOLE.match(line)]
    shown = on_terminal(load(odd), 50, TERM="dumb", COLUMNS="100").splitlines()
    assert 80 < max(cell_len(line) for line in shown if not WHOLE.match(line)) <= 100


@pytest.mark.parametrize(
    "arguments", [["explain", "{mapped}", BINDING], ["explain", "{mapped}", BINDING, "--json"], ["rules"]]
)
def test_a_full_disk_below_standard_output_is_told_as_such(odd: Demo, arguments: list[str]) -> None:
    command = [argument.format(mapped=odd.folder / "mapped") for argument in arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "migrate", *command],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "Error: Cannot use standard output: no space left on device\n")


@pytest.mark.parametrize(
    ("options", "environment"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})]
)
def test_without_colour_there_is_no_escape_on_a_terminal(
    odd: Demo, options: list[str], environment: dict[str, str]
) -> None:
    shown = on_terminal([*load(odd), *options], 80, **environment)
    assert "Dry run: " in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        pytest.param({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, marks=pytest.mark.long),
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.long),
    ],
)
def test_where_there_is_ascii_alone_nothing_else_is_written(odd: Demo, environment: dict[str, str]) -> None:
    ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LANG", "PYTHONIOENCODING")}
    written = b""
    for arguments in (
        load(odd),
        ["explain", str(odd.folder / "mapped"), BINDING],
        ["load", "--help"],
        ["load", "–"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "migrate", *arguments],
            cwd=ROOT, env={**ours, **environment}, capture_output=True, check=False,
        )  # fmt: skip
        written += done.stdout + done.stderr
    shown = written.decode("ascii")
    assert "false -> true" in shown
    assert "which some..." in shown
    assert "--service IS..." in shown
    assert "?" not in shown.replace("did you mean", "")
    assert max(len(line) for line in shown.splitlines() if "Error" not in line and not WHOLE.match(line)) <= 81


def test_json_and_rules_are_files_and_stay_utf_8(odd: Demo) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "migrate"]
    found = subprocess.run(
        [*command, *load(odd), "--json"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert json.loads(found.stdout.decode())["services"]["IS" + "4".zfill(32)] == "תמיכה בעברית"
    rules = subprocess.run([*command, "rules"], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert "SIDs (IS…)" in rules.stdout.decode()


@pytest.mark.parametrize(
    ("asked", "width"), [(None, 80), ("", 80), ("0", 80), ("wide", 80), ("²", 80), ("40", 40), ("100", 100)]
)
def test_columns_says_how_wide_a_pipe_is(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: str | None, width: int
) -> None:
    environment.delenv("COLUMNS")
    if asked is not None:
        environment.setenv("COLUMNS", asked)
    Screen(json=False, no_color=False).show(Text("word " * 100 + "\n"))
    assert max(map(len, capsys.readouterr().out.splitlines())) == width // 5 * 5 - 1


def test_a_stream_that_is_no_file_is_left_as_it_is() -> None:
    stream = io.StringIO("…")
    spell_on(stream)
    assert stream.getvalue() == "…"


# --- the layout -------------------------------------------------------------------------------------------


def broken(text: str, width: int) -> list[str]:
    return fitted(Text(text), width).plain.split("\n")


def test_a_line_that_fits_is_left_as_it_is_but_for_its_marks() -> None:
    assert broken(f"a  {COLUMN}b {BREAK}c{JOINT}d", 80) == ["a  b c d"]
    assert broken("  a   b  \n\n\nc\n", 80) == ["  a   b  ", "", "", "c", ""]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("  one two three", ["  one two", "  three"]),
        ("  · one two three", ["  · one", "    two", "    three"]),
        (f"ab  {COLUMN}one two three", ["ab  one", "    two", "    three"]),
        (f"one two {BREAK}three", ["one two", "three"]),
        (f"one {BREAK}→ two three", ["one", "→ two", "  three"]),
        (f"a {BREAK}bb {BREAK}cccc {BREAK}dd", ["a bb cccc", "dd"]),
        (f"one two{JOINT}three four", ["one", "two three", "four"]),
        (f"ab  {COLUMN}averylongwordindeed", ["ab  averylongwordindeed"]),
        (f"a  {COLUMN}/a/very/long/path and more", ["a  /a/very/long/path", "   and", "   more"]),
        (f"too wide a  {COLUMN}column", ["too wide a", "column"]),
        (f"a     {COLUMN}sevenup", ["a", "  sevenup"]),
        (f"  a   {COLUMN}b sevenup {BREAK}c", ["  a   b", "  sevenup", "  c"]),
        (f"  a   {COLUMN}ninechars", ["  a   ninechars"]),
        (f"  a   {COLUMN}日本語の", ["  a   日本", "      語の"]),
        (r"\u65e5\u{202e}\x1b", [r"\u65e5", r"\u{202e}", r"\x1b"]),
        (r"\xe9\xe9\U0001f695", [r"\xe9\xe9", r"\U0001f695"]),
        ("👩‍👩‍👧" * 6, ["👩‍👩‍👧" * 5, "👩‍👩‍👧"]),
        ("日本語の名前です", ["日本語の名", "前です"]),
        ("🚕🚕🚕🚕🚕🚕", ["🚕🚕🚕🚕🚕", "🚕"]),
    ],
)
def test_a_line_that_does_not_fit_is_broken_where_it_reads_best(text: str, lines: list[str]) -> None:
    assert broken(text, 10) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("seven.. $M", ["seven.. $M"]),
        ("seven... $M", ["seven...", "$M"]),
        ("seven..  $M", ["seven..", "  $M"]),
        ("seven..    $M", ["seven..", "    $M"]),
        ("seven..  ", ["seven..  "]),
        ("seven....  ", ["seven....", "  "]),
        ("a" + " " * 12 + "$M", ["a", " " * 10, "  $M"]),
    ],
)
def test_spaces_by_which_texts_differ_are_shown_where_a_line_is_broken(text: str, lines: list[str]) -> None:
    assert broken(sided(text), 10) == lines


def test_templates_that_differ_in_spaces_look_different() -> None:
    def of(spaces: int) -> list[str]:
        return broken(f"    template  {BREAK}{sided('x ' * 28 + 'end.' + ' ' * spaces + '${MESSAGE} said so')}", 80)

    assert len({tuple(of(spaces)) for spaces in (1, 2, 3, 4)}) == 4


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("title", ["日本語" * 20, "x" * 23, "x" * 38, "שלום" * 9])
def test_a_title_fits_the_screen_in_any_script_and_encoding(title: str, width: int, encoding: str) -> None:
    line = f"~ {'IS' + '0' * 32}  {COLUMN}{sided(title)}\n"
    shown = fitted(Text(line), width, encoding=encoding).plain
    assert max(map(cell_len, shown.split("\n"))) <= width
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", spelt(f"~IS{'0' * 32}{title}", encoding))


foreign = st.text(max_size=60).map(printable)


@given(st.lists(st.tuples(foreign, foreign), min_size=1), st.integers(12, 100), st.sampled_from(["utf-8", "ascii"]))
def test_nothing_is_lost_and_only_a_long_word_goes_beyond(
    rows: list[tuple[str, str]], width: int, encoding: str
) -> None:
    text = Text()
    for label, value in rows:
        text.append(f"· {label}", "bold").append(f"  {COLUMN}{sided(value)} {BREAK}→ {value}\n", "red")
    shown = fitted(text, width, encoding=encoding)
    whole = spelt("".join(f"·{label}{value}→{value}" for label, value in rows), encoding)
    assert re.sub(r"[ \n]", "", shown.plain) == re.sub(r"[ \n]", "", whole)
    for line in shown.plain.split("\n"):
        if cell_len(line) > width:
            assert max(map(cell_len, line.split(" "))) + 4 > width


def test_colours_stay_with_their_words() -> None:
    text = Text("one ", "").append("two three", "red").append(f" {BREAK}→ four", "green")
    shown = fitted(text, 8)
    coloured = {(shown.plain[span.start : span.end].strip("\n "), str(span.style)) for span in shown.spans}
    assert coloured == {("two", "red"), ("three", "red"), ("→ four", "green")}
    spelt_out = fitted(Text("a").append("…", "red"), 8, encoding="ascii")
    assert (spelt_out.plain, [(span.start, span.end, span.style) for span in spelt_out.spans]) == (
        "a...",
        [(1, 4, "red")],
    )


@pytest.mark.parametrize("label", ["日本語", "🚕", "תמיכה", "plain", "👩‍👩‍👧", "é"])
def test_columns_align_below_wide_characters(label: str) -> None:
    rows = [("Service", ()), (label, ["1", "1,000"]), ("a longer label", ["12,345", "7"])]
    lines = fitted(grid(("first", "second"), rows), 80).plain.splitlines()
    assert lines[1] == "Service"
    assert {cell_len(line) for line in (lines[0], *lines[2:])} == {14 + 2 + 6 + 2 + 6}
    assert padded(label, 20).startswith(label)
    assert cell_len(padded(label, 20)) == 20


def test_a_table_that_is_too_wide_is_folded_alike_in_every_row() -> None:
    rows = [("a", ["1", "22", "333"]), ("bb", ["4,444", "5", "6"])]
    lines = fitted(grid(("one", "two", "three"), rows), 14).plain.splitlines()
    assert lines == ["      one  two", "    three", "a       1   22", "      333", "bb  4,444    5", "        6"]


def test_labels_and_values_stand_in_two_columns() -> None:
    assert fitted(table([("A", "one two"), ("Long", "x")]), 10).plain == "A     one\n      two\nLong  x\n"


def test_a_command_is_never_broken() -> None:
    assert broken(f"resume with: {unbroken('chat-migrate load mapped')}", 20) == [
        "resume with:",
        "chat-migrate load mapped",
    ]


@pytest.mark.parametrize(
    ("text", "is_sided"), [("plain", False), ("תמיכה", True), ("תמיכה 12!", True), ("תמיכה EU", False), ("12", False)]
)
def test_what_ends_from_right_to_left_ends_there(text: str, is_sided: bool) -> None:
    assert (sided(text) != text) == is_sided
    assert fitted(Text(sided(text)), 80).plain == text, "nothing is added to what goes into a file"
    assert fitted(Text(sided(text)), 80, is_terminal=True).plain == sided(text)
    assert "200e" not in fitted(Text(sided(text)), 80, is_terminal=True, encoding="ascii").plain


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("a → b… · × 3", "ascii", "a -> b... - x 3"),
        ("a → b… · × é", "latin-1", "a -> b... · × é"),
        ("é日", "ascii", "\\xe9\\u65e5"),
        ("a → b", "utf-8", "a → b"),
    ],
)
def test_what_an_encoding_lacks_is_spelt(text: str, encoding: str, shown: str) -> None:
    assert spelt(text, encoding) == shown
    assert fitted(Text(text), 80, encoding=encoding).plain == shown


def test_what_is_no_failure_to_write_stays_a_failure() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "lookalikes")
    with pytest.raises(LookupError):
        "x".encode("never-heard-of")


def test_all_of_our_own_signs_look_like_something_in_ascii() -> None:
    """Whatever is beside ASCII in the words of commands and views."""
    sources = [path for room in ("report", "cli/commands") for path in (ROOT / "migrate" / room).glob("*.py")]
    signs = set(re.findall(r"[^\x00-\x7f]", "".join(path.read_text("utf-8") for path in sources)))
    assert {"→", "…", "·", "×"} <= signs
    for sign in signs:
        assert "\\" not in spelt(sign, "ascii")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"), (0.64, "0.6 s"), (9.96, "10 s"), (5, "5 s"), (59.4, "59 s"), (59.6, "1 min"),
        (93.2, "1 min 33 s"), (720, "12 min"), (3599.7, "1 h"), (11_100, "3 h 5 min"), (172_800, "2 days"),
        (13_892_400.0, "160 days 19 h"), (400_000_000, "4,629 days 15 h"),
    ],
)  # fmt: skip
def test_durations_are_human(seconds: float, shown: str) -> None:
    assert lasting(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1, "1 byte"), (850, "850 bytes"), (12_400, "12.4 kB"), (1_234_500_000, "1,234.5 MB")],
)
def test_sizes_have_units(number: int, shown: str) -> None:
    assert size(number) == shown
