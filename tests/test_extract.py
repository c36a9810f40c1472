"""Extract: every record kept, each once, whatever the server sends; and a snapshot that can be gone on with."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.extract import buffer
from migrate.standin.paging import PageSizes
from migrate.standin.world import World
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

SERVICE = service_sid(1)
COLUMNS = [
    "sid",
    "account_sid",
    "endpoint",
    "identity",
    "binding_type",
    "credential_sid",
    "message_types",
    "date_created",
    "date_updated",
    "extra",
    "service_sid",
]


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "bindings")


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


def test_pandas_reads_one_row_per_binding_with_the_documented_columns(odd: Demo, odd_world: World) -> None:
    frame = rows(odd.folder / "snapshot")
    assert list(frame.columns) == COLUMNS
    expected = {b.sid: s.sid for s in odd_world.services.values() for b in s.bindings}
    assert dict(zip(frame["sid"], frame["service_sid"].astype(str), strict=True)) == expected
    assert len(frame) == len(expected)
    assert str(frame["date_updated"].dtype) == "datetime64[us, UTC]"


def test_every_value_arrives_as_twilio_has_it(odd: Demo, odd_world: World) -> None:
    frame = rows(odd.folder / "snapshot").set_index("sid")
    for service in odd_world.services.values():
        for binding in service.bindings:
            row = frame.loc[binding.sid]
            for name in ("identity", "endpoint", "binding_type", "credential_sid"):
                wanted = getattr(binding, name)
                assert row[name] == wanted or (wanted is None and pd.isna(row[name]))
            if binding.message_types is None:
                assert row["message_types"] is None
            else:
                assert list(row["message_types"]) == binding.message_types
            if binding.updated is None:
                assert pd.isna(row["date_updated"])
            else:
                assert row["date_updated"] == pd.Timestamp(binding.updated).floor("s")


def test_services_keep_both_sides_notifications(odd: Demo) -> None:
    table = pq.read_table(odd.folder / "snapshot" / "services.parquet").to_pylist()
    found = {row["sid"]: row for row in table}
    assert json.loads(found[service_sid(3)]["notifications"]) == {}
    target = json.loads(found[service_sid(6)]["conversations_notifications"])
    assert target["new_message"]["template"] == "${PARTICIPANT}: ${MESSAGE}"
    assert json.loads(found[service_sid(1)]["extra"])["limits"] == {"channel_members": 100, "user_channels": 250}
    credentials = pq.read_table(odd.folder / "snapshot" / "credentials.parquet").to_pylist()
    assert [row["sandbox"] for row in credentials] == ["False", "True", None, None, None, "False"]


def test_the_manifest_accounts_for_every_file_and_chain(odd: Demo) -> None:
    facts = odd.json("snapshot", "manifest.json")
    assert (facts["status"], facts["source"], facts["rows"], facts["rejected"]) == ("finished", "chat", 328, 0)
    assert facts["as_of"] == "2026-06-15T08:00:00+00:00"
    assert sum(chain["rows"] for chain in facts["chains"]) == 328
    assert {chain["page_size"] for chain in facts["chains"]} == {5}
    assert all(len(file["sha256"]) == 64 and file["bytes"] for file in facts["files"])
    on_disk = {p.relative_to(odd.folder / "snapshot").as_posix() for p in (odd.folder / "snapshot").rglob("*.*")}
    on_disk = {path for path in on_disk if not path.startswith("bindings/") or path.endswith(".parquet")}
    assert on_disk == {file["path"] for file in facts["files"]} | {"manifest.json"}


def test_files_with_personal_data_are_for_their_owner_alone(odd: Demo) -> None:
    for path in (odd.folder / "snapshot").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    for path in (odd.folder / "mapped" / "bindings").rglob("*.parquet"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_filters_narrow_the_snapshot_and_are_recorded(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World
) -> None:
    serve(odd_world)
    out = tmp_path / "s"
    options = ["--service", service_sid(2), "--service", service_sid(1), "--binding-type", "fcm"]
    assert (
        run("extract", "--out", out, *options, "--identity", "driver-0001", "--identity", "three-devices").exit_code
        == 0
    )
    frame = rows(out)
    assert Counter(frame["identity"]) == {"driver-0001": 1, "three-devices": 1}
    assert manifest(out)["filters"] == {
        "services": [service_sid(1), service_sid(2)],
        "binding_types": ["fcm"],
        "identities": ["driver-0001", "three-devices"],
        "identity_file": None,
    }


@pytest.mark.parametrize("sizes", [PageSizes("openapi", "cap"), PageSizes("docs", "cap")])
def test_a_capped_page_size_loses_nothing_and_is_recorded(
    tmp_path: Path, run: Run, serve: Serve, sizes: PageSizes
) -> None:
    serve(tiny_world(bindings=[{"count": 120}]), sizes)
    assert run("extract", "--out", tmp_path / "s", "--page-size", 1000).exit_code == 0
    assert len(rows(tmp_path / "s")) == 120
    used = 50 if sizes.maxima == "openapi" else 1000
    assert {chain["page_size"] for chain in manifest(tmp_path / "s")["chains"]} == {used}


@pytest.mark.parametrize(("asked", "used"), [(1000, 50), (99, 50), (7, 7)])
def test_a_refused_page_size_falls_back_to_one_that_the_server_takes(
    tmp_path: Path, run: Run, serve: Serve, asked: int, used: int
) -> None:
    serve(tiny_world(bindings=[{"count": 120}]), PageSizes("openapi", "refuse"))
    assert run("extract", "--out", tmp_path / "s", "--page-size", asked).exit_code == 0
    assert len(rows(tmp_path / "s")) == 120
    assert {chain["page_size"] for chain in manifest(tmp_path / "s")["chains"]} == {used}


def test_a_refusal_that_no_page_size_mends_is_one_line(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return Reply({"code": 20001, "message": "BindingType is wrong"}, 400)
        return _empty_account(server, path)

    result, server = _extract(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "400, code 20001: BindingType is wrong" in result.stderr
    sizes = [path.rpartition("=")[2] for _, path, _ in server.seen if "/Bindings" in path]
    assert sizes == ["1000", "100", "50"]


def test_records_that_do_not_fit_are_kept_with_the_reason(tmp_path: Path, run: Run, serve: Serve) -> None:
    odd: list[tuple[dict[str, Any], str]] = [
        ({"identity": 5}, "identity is not a text"),
        ({"sid": None}, "sid is missing"),
        ({"message_types": "new_message"}, "message_types is not a list of texts"),
        ({"message_types": ["new_message", None]}, "message_types is not a list of texts"),
        ({"date_updated": "yesterday"}, "date_updated is not a date"),
        ({"date_updated": 12}, "date_updated is not a date"),
        ({"service_sid": service_sid(7)}, "service_sid names another service"),
        ({"endpoint": "half a pair \ud83d"}, "endpoint is not valid Unicode"),
    ]
    serve(tiny_world(bindings=[{"count": 2}, *({"extra": extra} for extra, _ in odd)]))
    result = run("extract", "--out", tmp_path / "s", "--page-size", 3)
    assert result.exit_code == 0
    assert "8 records, kept in rejected.jsonl" in result.stdout
    assert len(rows(tmp_path / "s")) == 2
    kept = [json.loads(line) for line in (tmp_path / "s" / "rejected.jsonl").read_text().splitlines()]
    assert [entry["reason"] for entry in kept] == [reason for _, reason in odd]
    for entry, (extra, _) in zip(kept, odd, strict=True):
        assert entry["record"].items() >= extra.items()
    mapped = run("map", tmp_path / "s", "--out", tmp_path / "m", "--json")
    found = {f["code"]: f["count"] for f in json.loads(mapped.stdout)["findings"]}
    assert found["bindings-rejected"] == 8


def test_a_record_that_is_no_object_is_kept_too(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return server.page("bindings", ["not an object", {"sid": "BS" + "1" * 32}])
        return _empty_account(server, path)

    result, _ = _extract(answer, tmp_path, run, environment)
    assert result.exit_code == 0
    assert json.loads((tmp_path / "s" / "rejected.jsonl").read_text())["record"] == "not an object"
    assert list(rows(tmp_path / "s")["sid"]) == ["BS" + "1" * 32]


def test_unknown_fields_go_into_extra(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"extra": {"platform": {"os": "x"}, "age": 3}}, {}]))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    extra = list(rows(tmp_path / "s")["extra"])
    assert json.loads(extra[0]) == {"age": 3, "platform": {"os": "x"}}
    assert pd.isna(extra[1])


def test_a_row_seen_twice_is_kept_once_as_the_later_page_had_it(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = {"sid": "BS" + "d" * 32}
    groups = [
        {"extra": {**twice, "identity": "as first seen"}},
        {"count": 5},
        {"extra": {**twice, "identity": "as last seen"}},
        {"count": 2},
    ]
    serve(tiny_world(bindings=groups))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 2)
    result = run("extract", "--out", tmp_path / "s", "--page-size", 2)
    assert "1 row seen twice, kept once" in result.stdout
    frame = rows(tmp_path / "s")
    assert len(frame) == 8
    assert list(frame.loc[frame["sid"] == twice["sid"], "identity"]) == ["as last seen"]
    facts = manifest(tmp_path / "s")
    assert (facts["rows"], facts["duplicates_removed"]) == (8, 1)
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


def test_an_account_without_bindings_makes_a_snapshot(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve({**tiny_world(), "services": []})
    assert run("run", "--out", tmp_path).exit_code == 0
    assert manifest(tmp_path / "snapshot")["rows"] == 0
    assert json.loads((tmp_path / "plan.json").read_bytes())["changes"] == []


def test_conversations_that_cannot_be_read_does_not_keep_the_bindings_waiting(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--conversations-url", "http://127.0.0.1:1")
    assert result.exit_code == 0
    (service,) = pq.read_table(tmp_path / "s" / "services.parquet").to_pylist()
    assert service["conversations_notifications"] is None
    assert len(rows(tmp_path / "s")) == 3


# --- what a broken or hostile server may do -------------------------------------------------------------


def _empty_account(server: Scripted, path: str) -> Reply:
    if path.startswith("/v2/Services?"):
        return server.page("services", [{"sid": SERVICE}])
    if path.startswith("/v2/Credentials"):
        return server.page("credentials", [])
    if path.startswith("/v2/"):
        return server.page("bindings", [])
    return Reply({"code": 20404, "message": "not found"}, 404)


Answer = Callable[[Scripted, str], Reply]
PORTS: dict[Path, int] = {}


def _extract(answer: Answer, tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, *options: str) -> Any:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret-token")
    # Each at the address of the one before it: a snapshot is not resumed at another.
    with scripted(answer, PORTS.get(tmp_path, 0)) as server:
        PORTS[tmp_path] = int(server.url.rpartition(":")[2])
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        return run("extract", "--out", tmp_path / "s", "--no-shard", *urls, *options), server


def test_a_link_to_another_host_is_refused_and_no_credential_goes_there(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    with scripted(lambda server, path: Reply({})) as elsewhere:

        def answer(server: Scripted, path: str) -> Reply:
            if "/Bindings" in path:
                return server.page("bindings", [{"sid": "BS" + "1" * 32}], f"{elsewhere.url}/v2/x?PageToken=1")
            return _empty_account(server, path)

        result, _ = _extract(answer, tmp_path, run, environment)
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
        return server.page("services", [], link) if path.startswith("/v2/Services?") else _empty_account(server, path)

    result, server = _extract(answer, tmp_path, run, environment)
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
            return _empty_account(server, path)
        return faults.pop() if faults else server.page("bindings", [{"sid": "BS" + "1" * 32}])

    result, _ = _extract(answer, tmp_path, run, environment)
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
            return _empty_account(server, path)
        asked.append(path)
        number = 1 if service_sid(1) in path else 2
        if "PageToken" not in path:
            url = f"{server.url}/v2/Services/{service_sid(number)}/Bindings?Page=1&PageToken=t"
            return server.page("bindings", [{"sid": f"BS{number:032d}"}], url)
        if number == 2 and not healthy:
            return Reply({"message": "down"}, 503)
        return server.page("bindings", [{"sid": f"BS{number + 10:032d}"}])

    result, _ = _extract(answer, tmp_path, run, environment)
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
    result, _ = _extract(answer, tmp_path, run, environment)
    assert result.exit_code == 0, result.output
    assert asked == [f"/v2/Services/{service_sid(2)}/Bindings?Page=1&PageToken=t"]
    assert sorted(rows(tmp_path / "s")["sid"]) == [f"BS{number:032d}" for number in (1, 2, 11, 12)]
    assert not any(stray.exists() for stray in strays)
    assert not (tmp_path / "s" / "checkpoint.jsonl").exists()


def _begin_unfinished(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return Reply({}, 500) if "/Bindings" in path else _empty_account(server, path)

    assert _extract(answer, tmp_path, run, environment)[0].exit_code == 1


def test_an_unfinished_snapshot_with_other_filters_is_left_alone(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    _begin_unfinished(tmp_path, run, environment)
    result, _ = _extract(_empty_account, tmp_path, run, environment, "--binding-type", "apn")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "--restart" in result.stderr
    result, _ = _extract(_empty_account, tmp_path, run, environment, "--binding-type", "apn", "--restart")
    assert result.exit_code == 0
    assert manifest(tmp_path / "s")["filters"]["binding_types"] == ["apn"]


def test_services_are_stored_again_if_the_interruption_came_before_them(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    _begin_unfinished(tmp_path, run, environment)
    (tmp_path / "s" / "services.parquet").unlink()
    assert _extract(_empty_account, tmp_path, run, environment)[0].exit_code == 0
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
            else _empty_account(server, asked)
        )

    result, _ = _extract(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "holds something that is no" in result.stderr


def test_a_service_is_not_lost_over_a_field_that_does_not_fit(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    odd = {"sid": SERVICE, "friendly_name": "half a pair \ud83d", "date_created": 5, "account_sid": "AC1"}

    def answer(server: Scripted, path: str) -> Reply:
        return server.page("services", [odd]) if path.startswith("/v2/Services?") else _empty_account(server, path)

    assert _extract(answer, tmp_path, run, environment)[0].exit_code == 0
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
    result, _ = _extract(_empty_account, tmp_path, run, environment)
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
        reply = _empty_account(server, path)
        reply.headers["Date"] = date
        return reply

    assert _extract(answer, tmp_path, run, environment)[0].exit_code == 0
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
        return _empty_account(server, path)

    result, _ = _extract(answer, tmp_path, run, environment)
    if depth < 2000 or result.exit_code == 0:
        assert result.exit_code == 0 or "it is no JSON" in result.stderr, result.stderr
    else:
        assert "it is no JSON" in result.stderr


@pytest.mark.parametrize("link", ["http://half-a-pair/\ud83d", "http://ä/"])
def test_a_link_that_is_no_address_is_no_page(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, link: str
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return server.page("bindings", [], link) if "/Bindings" in path else _empty_account(server, path)

    result, _ = _extract(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "its next_page_url is no address" in result.stderr
