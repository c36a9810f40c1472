"""What tests of extract share."""

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


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "bindings")


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


def empty_account(server: Scripted, path: str) -> Reply:
    if path.startswith("/v2/Services?"):
        return server.page("services", [{"sid": SERVICE}])
    if path.startswith("/v2/Credentials"):
        return server.page("credentials", [])
    if path.startswith("/v2/"):
        return server.page("bindings", [])
    return Reply({"code": 20404, "message": "not found"}, 404)


Answer = Callable[[Scripted, str], Reply]
PORTS: dict[Path, int] = {}


def extract_of_test(answer: Answer, tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, *options: str) -> Any:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret-token")
    # Each at the address of the one before it: a snapshot is not resumed at another.
    with scripted(answer, PORTS.get(tmp_path, 0)) as server:
        PORTS[tmp_path] = int(server.url.rpartition(":")[2])
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        return run("extract", "--out", tmp_path / "s", "--no-shard", *urls, *options), server
