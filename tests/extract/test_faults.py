"""Faults, hostile answers and interruptions while a snapshot is extracted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.extract.conftest import SERVICE, empty_account, extract_of_test, manifest, rows
from tests.scripted import Reply, Scripted, scripted


def test_a_link_to_another_host_is_refused_and_no_credential_goes_there(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    with scripted(lambda server, path: Reply({})) as elsewhere:

        def answer(server: Scripted, path: str) -> Reply:
            if "/Bindings" in path:
                return server.page("bindings", [{"sid": "BS" + "1" * 32}], f"{elsewhere.url}/v2/x?PageToken=1")
            return empty_account(server, path)

        result, _ = extract_of_test(answer, tmp_path, run, environment)
        assert elsewhere.seen == []
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert "links to another host" in result.stderr
    assert "chat-migrate extract --out" in result.stderr
    assert manifest(tmp_path / "s")["status"] == "unfinished"


@pytest.mark.parametrize(
    "link", ["https://127.0.0.1/v2/x", "http://127.0.0.1.evil.test/v2/x", "//evil.test/x", "/v2/x", "http://[bad"]
)
def test_links_that_leave_in_other_ways_are_refused(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, link: str
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return server.page("services", [], link) if path.startswith("/v2/Services?") else empty_account(server, path)

    result, server = extract_of_test(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "broken",
    [
        Reply(b"<html>gateway</html>"),
        Reply(b"<html>gateway</html>", 502),
        Reply({"code": 20429, "message": "Too many requests"}, 429, {"Retry-After": "0"}),
        Reply({"message": "oops"}, 500),
        Reply({"bindings": []}),
        Reply({"meta": {"next_page_url": None}, "bindings": {}}),
        Reply({"meta": {"next_page_url": 7}, "bindings": []}),
        Reply(["a list"]),
        Reply(b'{"meta": {"next_page_url": null}, "bindings": [{"sid": NaN}]}'),
        Reply(b"[" * 100_000),
        Reply(b"not gzip", 200, {"Content-Encoding": "gzip"}),
        Reply(b"\xff\xfe"),
        Reply(b'{"meta": {', 200, {"Content-Length": "500", "Connection": "close"}),
    ],
)
def test_a_passing_fault_is_tried_again_and_loses_nothing(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, broken: Reply
) -> None:
    faults = [broken, broken]

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" not in path:
            return empty_account(server, path)
        return faults.pop() if faults else server.page("bindings", [{"sid": "BS" + "1" * 32}])

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert result.exit_code == 0, result.output
    assert len(rows(tmp_path / "s")) == 1
    (chain,) = manifest(tmp_path / "s")["chains"]
    assert (chain["pages"], chain["requests"], chain["retries"]) == (1, 3, 2)


def test_a_fault_that_stays_ends_its_chain_alone_and_the_same_command_goes_on(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    healthy = False

    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Services?"):
            return server.page("services", [{"sid": service_sid(1)}, {"sid": service_sid(2)}])
        if "/Bindings" not in path:
            return empty_account(server, path)
        asked.append(path)
        number = 1 if service_sid(1) in path else 2
        if "PageToken" not in path:
            url = f"{server.url}/v2/Services/{service_sid(number)}/Bindings?Page=1&PageToken=t"
            return server.page("bindings", [{"sid": f"BS{number:032d}"}], url)
        if number == 2 and not healthy:
            return Reply({"message": "down"}, 503)
        return server.page("bindings", [{"sid": f"BS{number + 10:032d}"}])

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"Chain chat:{service_sid(2)} stopped" in result.stderr
    assert "answered 503: down" in result.stderr
    assert "1 of 2 chains are complete" in result.stderr
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 4
    parts = tmp_path / "s" / "bindings" / f"service_sid={service_sid(2)}"
    strays = [parts / ".chat-00001.parquet.partial", parts / "chat-00009.parquet"]
    for stray in strays:
        stray.write_bytes(b"cut short")
    with (tmp_path / "s" / "checkpoint.jsonl").open("a") as file:
        file.write('{"chain": "chat:IS0')
    asked.clear()
    healthy = True
    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert result.exit_code == 0, result.output
    assert asked == [f"/v2/Services/{service_sid(2)}/Bindings?Page=1&PageToken=t"]
    assert sorted(rows(tmp_path / "s")["sid"]) == [f"BS{number:032d}" for number in (1, 2, 11, 12)]
    assert not any(stray.exists() for stray in strays)
    assert not (tmp_path / "s" / "checkpoint.jsonl").exists()


def _begin_unfinished(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return Reply({}, 500) if "/Bindings" in path else empty_account(server, path)

    assert extract_of_test(answer, tmp_path, run, environment)[0].exit_code == 1


def test_an_unfinished_snapshot_with_other_filters_is_left_alone(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    _begin_unfinished(tmp_path, run, environment)
    result, _ = extract_of_test(empty_account, tmp_path, run, environment, "--binding-type", "apn")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "--restart" in result.stderr
    result, _ = extract_of_test(empty_account, tmp_path, run, environment, "--binding-type", "apn", "--restart")
    assert result.exit_code == 0
    assert manifest(tmp_path / "s")["filters"]["binding_types"] == ["apn"]


def test_services_are_stored_again_if_the_interruption_came_before_them(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    _begin_unfinished(tmp_path, run, environment)
    (tmp_path / "s" / "services.parquet").unlink()
    assert extract_of_test(empty_account, tmp_path, run, environment)[0].exit_code == 0
    assert (tmp_path / "s" / "services.parquet").exists()


@pytest.mark.parametrize(
    ("path", "records"),
    [
        ("/v2/Services?", [{"sid": "../../etc"}]),
        ("/v2/Services?", ["nothing"]),
        ("/v2/Services?", [{"friendly_name": "no sid"}]),
        ("/v2/Services?", [{"sid": None}]),
        ("/v2/Credentials?", [{"sid": 5}]),
        ("/v2/Credentials?", [None]),
    ],
)
def test_a_list_of_something_else_is_one_line_and_touches_nothing(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, path: str, records: list[Any]
) -> None:
    def answer(server: Scripted, asked: str) -> Reply:
        return (
            server.page(path.split("/")[2].rstrip("?").lower(), records)
            if asked.startswith(path)
            else empty_account(server, asked)
        )

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "holds something that is no" in result.stderr


def test_a_service_is_not_lost_over_a_field_that_does_not_fit(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    odd = {"sid": SERVICE, "friendly_name": "half a pair \ud83d", "date_created": 5, "account_sid": "AC1"}

    def answer(server: Scripted, path: str) -> Reply:
        return server.page("services", [odd]) if path.startswith("/v2/Services?") else empty_account(server, path)

    assert extract_of_test(answer, tmp_path, run, environment)[0].exit_code == 0
    (row,) = pq.read_table(tmp_path / "s" / "services.parquet").to_pylist()
    assert (row["friendly_name"], row["date_created"], row["account_sid"]) == (None, None, "AC1")
    assert json.loads(row["extra"]) == {"friendly_name": "half a pair \ud83d", "date_created": 5}


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 2000}]))
    command = f"ulimit -f 16; {sys.executable} -m migrate extract --no-shard --out {tmp_path / 's'}"
    # Coverage would write its own file in the process, and meet the same limit.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    full = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (full.returncode, full.stderr.count("\n")) == (1, 1)
    assert "file too large" in full.stderr
    assert f"chat-migrate extract --out {tmp_path / 's'}" in full.stderr
    assert "0 of 1 chains are complete" in full.stderr
    assert not list((tmp_path / "s").rglob("*.partial"))
    assert run("extract", "--out", tmp_path / "s", "--no-shard").exit_code == 0
    assert list(rows(tmp_path / "s")["sid"]) == [b.sid for b in server.world.services[SERVICE].bindings]


def test_a_line_that_could_not_be_written_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SyncedLog(tmp_path / "log")
    log.append({"first": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            log.append({"second": 2})
    log.append({"third": 3})
    log.close()
    assert (tmp_path / "log").read_text() == '{"first": 1}\n{"third": 3}\n'


def test_a_checkpoint_that_cannot_be_read_is_refused(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    _begin_unfinished(tmp_path, run, environment)
    (tmp_path / "s" / "checkpoint.jsonl").write_text('{"chain": "x"}\n{}\n')
    result, _ = extract_of_test(empty_account, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "--restart" in result.stderr


def test_the_shown_manifest_masks_identities(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--identity", "person-0001-of-them", "--json")
    assert json.loads(result.stdout)["filters"]["identities"] == ["pe…em (19)"]
    assert manifest(tmp_path / "s")["filters"]["identities"] == ["person-0001-of-them"]


def test_ctrl_c_keeps_what_was_read_and_the_same_command_goes_on(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world(bindings=[{"count": 30}]))
    real = TwilioApi.pages
    first = True

    def interrupted(self: TwilioApi, *args: Any, **options: Any) -> Any:
        for number, page in enumerate(real(self, *args, **options)):
            yield page
            if first and args[1].endswith("/Bindings") and number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(TwilioApi, "pages", interrupted)
    result = run("extract", "--out", tmp_path / "s", "--page-size", 5, "--no-shard")
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert f"chat-migrate extract --out {tmp_path / 's'} --no-shard" in result.stderr
    assert len(rows(tmp_path / "s")) == 10
    first = False
    assert run("extract", "--out", tmp_path / "s", "--page-size", 5, "--no-shard").exit_code == 0
    assert list(rows(tmp_path / "s")["sid"]) == [b.sid for b in server.world.services[SERVICE].bindings]


@pytest.mark.parametrize(
    "date",
    [
        "no date at all",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9998 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +1400",
    ],
)
def test_the_age_of_bindings_is_measured_by_the_local_clock_where_the_server_has_none(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, date: str
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        reply = empty_account(server, path)
        reply.headers["Date"] = date
        return reply

    assert extract_of_test(answer, tmp_path, run, environment)[0].exit_code == 0
    facts = manifest(tmp_path / "s")
    assert facts["as_of"] >= facts["started_at"]
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


@pytest.mark.parametrize("depth", [100, 480, 700, 900, 940, 960, 970, 975, 980, 985, 990, 2000])
@pytest.mark.parametrize("field", ["identity", "unheard_of"])
def test_a_record_of_any_depth_is_no_reason_to_stop(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, depth: int, field: str
) -> None:
    """It is set aside, or kept; where it is too deep even to be read, the page is none, and that is said."""
    record = b'{"sid":"BS1","%s":%s}' % (field.encode(), b"[" * depth + b"]" * depth)

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return Reply(b'{"meta":{"page_size":50,"next_page_url":null},"bindings":[{"sid":"BS2"},' + record + b"]}")
        return empty_account(server, path)

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    if depth < 2000 or result.exit_code == 0:
        assert result.exit_code == 0 or "it is no JSON" in result.stderr, result.stderr
    else:
        assert "it is no JSON" in result.stderr


@pytest.mark.parametrize("link", ["http://half-a-pair/\ud83d", "http://ä/"])
def test_a_link_that_is_no_address_is_no_page(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, link: str
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return server.page("bindings", [], link) if "/Bindings" in path else empty_account(server, path)

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "its next_page_url is no address" in result.stderr
