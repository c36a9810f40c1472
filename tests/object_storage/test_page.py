"""docs/object-storage.md: its commands and its script run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from migrate.standin.world import World
from tests.conftest import ROOT, Serve
from tests.object_storage.conftest import Bucket
from tests.pages import blocks_of, run_block

PAGE = (ROOT / "docs" / "object-storage.md").read_text("utf-8")


@pytest.mark.long
def test_the_page_runs_as_it_stands_there(bucket: Bucket, serve: Serve, demo_world: World, tmp_path: Path) -> None:
    serve(demo_world)
    bucket.client.create_bucket(Bucket="bucket")
    (block,) = [block for _, block in blocks_of(PAGE)]
    run_block(block, tmp_path, demo_world)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run([sys.executable, "-c", f"import migrate\n{script}"], cwd=tmp_path, check=True)
    keys = Bucket("bucket", bucket.client, bucket.faults).objects()
    assert {"night/report.html", "night/mapped/summary.json", "night/mapped-2/summary.json"} <= keys.keys()
    assert [key for key in keys if key.startswith("night/coverage/")]
    assert demo_world.writes == []
