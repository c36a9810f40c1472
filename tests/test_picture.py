"""The README's picture: up to date, the same each time, and nothing in it from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from docs.picture import picture
from tests.conftest import ROOT
from tests.pages import bash, furnish

SVG = "{http://www.w3.org/2000/svg}"
WIDTH = 12.2  # of a character
DRAWN = (ROOT / "docs" / "demo.svg").read_text("utf-8")


def test_the_picture_is_what_the_demo_shows_now() -> None:
    assert picture() == DRAWN


def test_the_picture_says_what_the_command_does(tmp_path: Path) -> None:
    lines: dict[float, str] = {}
    for element in ElementTree.fromstring(DRAWN).iter(f"{SVG}text"):
        if "clip-path" in element.attrib:
            height = float(element.attrib["y"])
            place = round(float(element.attrib["x"]) / WIDTH)  # a space between two texts is drawn by their places
            lines[height] = lines.get(height, "").ljust(place) + (element.text or "").replace("\u00a0", " ")
    done = bash("chat-migrate run --replay demo --out out/demo 2> messages", furnish(tmp_path))
    said = [line for line in done.stdout.splitlines() if line]
    assert [line.rstrip() for _, line in sorted(lines.items()) if line.strip()][1:] == said


def test_the_picture_loads_nothing_and_says_what_it_is() -> None:
    assert re.findall(r"https?:[^\"'\s)]*", DRAWN) == ["http://www.w3.org/2000/svg"]
    assert set(re.findall(r"url\(([^)]*)\)", DRAWN)) <= {f"#demo-line-{n}" for n in range(200)} | {
        "#demo-clip-terminal"
    }
    for never in ("@import", "@font-face", "<script", "<image", "href"):
        assert never not in DRAWN
    root = ElementTree.fromstring(DRAWN)
    names = {element.attrib["id"]: element.text for element in root if "id" in element.attrib}
    assert root.attrib["role"] == "img"
    for label in root.attrib["aria-labelledby"].split():
        assert names[label]
