"""A real browser: headless Chromium, driven through a pipe by the DevTools protocol, with no network."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60  # seconds, for an answer: the machine may have much else to do
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # it runs as root in containers, and opens nothing but the project's own page
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def known_browser() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def find_browser() -> str:
    """The path of a Chromium. Without one the test is skipped; where the checks demand one, it fails."""
    import pytest  # which make bench, that drives the browser as well, does not have

    if found := known_browser():
        return found
    why = f"no headless browser: none of {', '.join(NAMES)} is on the PATH"
    if os.environ.get("CI") == "true" or os.environ.get("CHAT_MIGRATE_REQUIRE_BROWSER"):
        raise pytest.fail.Exception(why)
    raise pytest.skip.Exception(why)


@dataclass
class Page:
    """A tab. `said` is whatever the console got: messages, errors, and what the policy forbade."""

    commands: int
    answers: int
    session: str = ""
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    number: int = 0
    unread: bytearray = field(default_factory=bytearray)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self.commands, rest) :]
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self.events:
            self._next()

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; what it throws fails the test."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """Press a key and let it go, as a person would."""
        code = {"Tab": 9, "Enter": 13, "Delete": 46}.get(key, 0)
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **shared, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def width(self, pixels: int, *, height: int = 800) -> None:
        """Make the window as wide as a phone's, or a desk's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=pixels,
            height=height,
            deviceScaleFactor=1,
            mobile=pixels < 600,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer a light or a dark page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def paper(self) -> bytes:
        """The page as it prints, as a PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def attach(self) -> None:
        """Take the browser's tab, and hear what happens in it."""
        tabs = self.call("Target.getTargets")["targetInfos"]
        target = next(tab["targetId"] for tab in tabs if tab["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _next(self) -> dict[str, Any]:
        while (end := self.unread.find(b"\0")) < 0:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE} s"
            read = os.read(self.answers, 1 << 16)
            assert read, "the browser is gone"
            self.unread += read
        raw = bytes(self.unread[:end])
        del self.unread[: end + 1]
        message: dict[str, Any] = json.loads(raw)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, told: dict[str, Any]) -> None:
        self.events.append(method)
        if method == "Runtime.consoleAPICalled":
            self.said.append(f"{told['type']}: {told['args']}")
        elif method == "Runtime.exceptionThrown":
            self.said.append(f"exception: {told['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.said.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A running browser with one empty tab; `profile` is a folder for what it keeps."""
    program = find_browser()
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    command = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    # The protocol speaks over the file descriptors 3 and 4.
    script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
    with (profile.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "browser", *command],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(to_read)
    os.close(to_write)
    try:
        page = Page(commands, answers)
        page.attach()
        yield page
    finally:
        os.close(commands)
        os.close(answers)
        process.terminate()
        process.wait(PATIENCE)
