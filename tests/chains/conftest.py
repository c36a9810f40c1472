"""A scripted list of bindings, and what extract makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Run, service_sid
from tests.scripted import Reply, Scripted, scripted

SERVICE = service_sid(1)


def binding(number: int) -> dict[str, Any]:
    return {"sid": f"BS{number:032x}"}


def link(server: Scripted, size: int, place: int) -> str:
    return f"{server.url}/v2/Services/{SERVICE}/Bindings?PageSize={size}&Page=1&PageToken=PA{place}"


def ordinary(server: Scripted, size: int, place: int, many: int) -> Reply:
    """The page of `many` bindings that begins at a place."""
    end = min(place + size, many)
    after = link(server, size, end) if end < many else None
    return server.page("bindings", [binding(number) for number in range(place, end)], after, page_size=size)


def asked(path: str) -> tuple[int, int]:
    """The page size and the place that a request for bindings names."""
    size = int(path.partition("PageSize=")[2].partition("&")[0])
    return size, int(path.partition("PageToken=PA")[2] or 0)


@pytest.fixture
def extract(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Extract from a server whose pages of bindings a test gives; one service, one chain."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    port = 0  # each server is at the address of the one before it: a snapshot is not resumed at another

    def call(bindings: Callable[[Scripted, str, int, int], Reply], *options: object, run: Run = run) -> Any:
        nonlocal port

        def answer(server: Scripted, path: str) -> Reply:
            if path.startswith("/v2/Services?"):
                return server.page("services", [{"sid": SERVICE}])
            if path.startswith("/v2/Credentials"):
                return server.page("credentials", [])
            return bindings(server, path, *asked(path)) if "/Bindings" in path else Reply({}, 404)

        with scripted(answer, port) as server:
            port = int(server.url.rpartition(":")[2])
            urls = ["--chat-url", server.url, "--conversations-url", server.url, "--no-shard"]
            result = run("extract", "--out", tmp_path / "s", *urls, *options)
        pages = [path for _, path, _ in server.seen if "/Bindings" in path]
        return result, pages

    return call


def numbers(tmp_path: Path) -> list[int]:
    return sorted(int(sid[2:], 16) for sid in pd.read_parquet(tmp_path / "s" / "bindings")["sid"])


def facts(tmp_path: Path) -> Any:
    (chain,) = json.loads((tmp_path / "s" / "manifest.json").read_bytes())["chains"]
    return chain
