"""The stand-in serves a snapshot as it was read: whoever extracts from it gets the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from migrate.model.documents import builtins
from migrate.model.errors import InputError, RefusedError
from migrate.snapshot.reader import read_snapshot
from migrate.snapshot.writer import file_record
from migrate.standin.faults import Faults
from migrate.standin.from_snapshot import AUTH_TOKEN, world_of
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.snapshots import ACCOUNT, AS_OF, binding, credential, write_snapshot

SERVICE = service_sid(1)


def rows(folder: Path, name: str = "bindings") -> list[dict[str, Any]]:
    """All rows of a snapshot's table, in the order of their SID."""
    tables: pa.Table = pq.read_table(folder / (name if name == "bindings" else f"{name}.parquet"))
    found: list[dict[str, Any]] = tables.to_pylist()
    return sorted(found, key=lambda row: str(row["sid"]))


def ask(server: StandInServer, path: str, **options: Any) -> requests.Response:
    auth = options.pop("auth", (server.world.account_sid, server.world.auth_token))
    return requests.get(f"{server.url}{path}", auth=auth, timeout=10, **options)


def test_an_extract_from_a_snapshot_that_is_served_gives_the_same_snapshot(
    tmp_path: Path, run: Run, serve: Serve, odd: Demo
) -> None:
    source = odd.folder / "snapshot"
    seeded = world_of(source)
    assert (seeded.world.now, seeded.unknown) == (read_snapshot(source).as_of, ())
    serve(seeded.world)
    assert run("run", "--out", tmp_path / "run").exit_code == 0
    for name in ("bindings", "services", "credentials"):
        assert rows(tmp_path / "run" / "snapshot", name) == rows(source, name)
    # And the same plan, but for where it was made from.
    plans = [json.loads((folder / "plan.json").read_bytes()) for folder in (odd.folder, tmp_path / "run")]
    assert plans[0]["changes"] == plans[1]["changes"]
    assert plans[0]["unchanged"] == plans[1]["unchanged"]


def test_nulls_and_unknown_fields_and_odd_dates_survive(tmp_path: Path, run: Run, serve: Serve) -> None:
    odd = [
        binding(1, account_sid=ACCOUNT, extra=json.dumps({"nested": {"a": [1, "ü"]}, "url_safe": None})),
        binding(2, account_sid=ACCOUNT, identity=None, endpoint=None, credential_sid=None, message_types=None),
        binding(3, account_sid=None, date_updated=None, binding_type=None, message_types=[]),
        binding(4, account_sid=ACCOUNT, date_created=AS_OF.replace(microsecond=123456), date_updated=None),
        binding(5, account_sid="of no form", binding_type="other"),
    ]
    source = write_snapshot(
        tmp_path / "source",
        {SERVICE: {"friendly_name": None, "extra": '{"limits": 7}', "notifications": "{}"}},
        {SERVICE: [odd[:2], odd[2:]]},
        [
            credential(1, "apn"),
            credential(2, "fcm", friendly_name=None, type=None, sandbox=None, extra='{"beta": true}'),
        ],
    )
    serve(world_of(source).world)
    assert run("extract", "--out", tmp_path / "again", "--no-shard").exit_code == 0
    assert rows(tmp_path / "again") == rows(source)
    (service,) = rows(tmp_path / "again", "services")
    assert (service["friendly_name"], service["notifications"], service["date_created"]) == (None, "{}", None)
    assert json.loads(service["extra"])["limits"] == 7
    found = rows(tmp_path / "again", "credentials")
    assert (found[1]["friendly_name"], found[1]["type"], found[1]["extra"]) == (None, None, '{"beta": true}')


def test_what_was_set_in_conversations_is_served_and_what_is_not_known_is_told(tmp_path: Path, serve: Serve) -> None:
    settings = {"log_enabled": True, "new_message": {"enabled": True, "template": None, "sound": "horn"}}
    source = write_snapshot(
        tmp_path,
        {
            SERVICE: {"friendly_name": "known", "conversations_notifications": json.dumps(settings)},
            service_sid(2): {"friendly_name": "unknown", "notifications": None},
        },
        {SERVICE: [[binding(1), binding(2, binding_type="twilsock")]]},
    )
    seeded = world_of(source)
    assert seeded.unknown == (service_sid(2),)
    server = serve(seeded.world)
    known = ask(server, f"/v1/Services/{SERVICE}/Configuration/Notifications").json()
    assert (known["log_enabled"], known["new_message"]["sound"]) == (True, "horn")
    assert "template" not in known["new_message"]
    unknown = ask(server, f"/v1/Services/{service_sid(2)}/Configuration/Notifications").json()
    assert unknown["new_message"]["enabled"] is False
    assert ask(server, f"/v2/Services/{service_sid(2)}").json()["notifications"] is None
    # Web clients are seen through Conversations only.
    numbers = [len(ask(server, f"{api}/Services/{SERVICE}/Bindings").json()["bindings"]) for api in ("/v2", "/v1")]
    assert numbers == [1, 2]
    # A binding that comes gets a number that was never given.
    server.world.register(server.world.services[SERVICE])
    assert server.world.registered[0].number == 3


def test_bindings_can_be_left_out(odd: Demo) -> None:
    world = world_of(odd.folder / "snapshot", most_bindings=0).world
    assert len(world.services) == 7
    assert not any(service.bindings or service.conversations_bindings for service in world.services.values())


def test_a_snapshot_that_cannot_be_trusted_or_served_is_refused(tmp_path: Path) -> None:
    broken = write_snapshot(tmp_path / "broken", {SERVICE: {"extra": "{"}}, {})
    with pytest.raises(InputError, match="cannot be served"):
        world_of(broken)
    (broken / "services.parquet").write_bytes(b"")
    with pytest.raises(RefusedError, match="damaged"):
        world_of(broken)
    no_table = write_snapshot(tmp_path / "no-table", {SERVICE: {}}, {})
    path = no_table / "credentials.parquet"
    pq.write_table(pa.table({"sid": ["CR1"]}), path)
    record = file_record(no_table, path)
    manifest = json.loads((no_table / "manifest.json").read_bytes())
    manifest["files"] = [builtins(record) if file["path"] == record.path else file for file in manifest["files"]]
    (no_table / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="KeyError"):
        world_of(no_table)


Serving = Callable[..., tuple[int, str, str]]


@pytest.fixture
def serving(run: Run, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """Run the command as if it were stopped at once; its exit code and what it says."""
    monkeypatch.setattr(StandInServer, "wait", lambda *_: None)

    def call(*arguments: object) -> tuple[int, str, str]:
        result = run("standin", "--port", "0", *arguments)
        return result.exit_code, result.stdout, result.stderr

    return call


def test_the_command_serves_a_snapshot(tmp_path: Path, odd: Demo, serving: Serving) -> None:
    code, out, said = serving("--snapshot", odd.folder / "snapshot")
    assert code == 0
    assert f"export TWILIO_AUTH_TOKEN={AUTH_TOKEN}\n" in out
    assert f"Serving {odd.folder / 'snapshot'} on http://127.0.0.1:" in said
    unknown = write_snapshot(tmp_path / "unknown", {SERVICE: {}}, {})
    code, _, said = serving("--snapshot", unknown, "--no-bindings")
    assert (code, f"nothing set: {SERVICE}" in said) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--snapshot", "x", "--world", "y"], 2, "exclude each other"),
        (["--no-bindings"], 2, "needs --snapshot"),
        (["--snapshot", "nowhere"], 1, "no such folder"),
    ],
)
def test_a_snapshot_is_named_alone(serving: Serving, arguments: list[str], code: int, problem: str) -> None:
    got, out, said = serving(*arguments)
    assert (got, out) == (code, "")
    assert problem in said


# --- the stand-in seen from outside ----------------------------------------------------------------------


def test_what_the_stand_in_holds_is_seen_past_all_faults_and_is_no_request(serve: Serve, odd_world: World) -> None:
    server = serve(odd_world, faults=Faults(rate=1, kinds=("500",), chat_gone=410))
    assert ask(server, "/v1/Services").status_code == 500
    seen = ask(server, "/_standin").json()
    assert (seen["requests"], seen["writes"]) == (1, [])
    assert seen["services"] == {sid: service.configuration for sid, service in odd_world.services.items()}
    assert [item["sid"] for item in seen["credentials"]] == list(odd_world.credentials)
    assert "secret" not in json.dumps(seen).lower()
    assert ask(server, "/_standin").json()["requests"] == 1
    assert ask(server, "/_standin", auth=("AC", "x")).status_code == 401
    url, auth = f"{server.url}/_standin", (odd_world.account_sid, odd_world.auth_token)
    assert requests.put(url, auth=auth, timeout=10).status_code >= 400
    assert requests.post(url, auth=auth, data={"fault": "none of them"}, timeout=10).status_code == 400
    # What is ordered is for the next writes, each in its turn; what passes passes, whatever else goes wrong.
    assert requests.post(url, auth=auth, data=[("fault", "503"), ("fault", "")], timeout=10).status_code == 200
    place = f"{server.url}/v1/Services/{service_sid(1)}/Configuration/Notifications"
    answers = [requests.post(place, auth=auth, data={"LogEnabled": "true"}, timeout=10) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 500]
    assert len(odd_world.writes) == 1


def test_a_write_is_seen(serve: Serve) -> None:
    server = serve(tiny_world(conversations=None))
    assert ask(server, "/_standin").json()["services"] == {SERVICE: None}
    server = serve(tiny_world())
    url = f"{server.url}/v1/Services/{SERVICE}/Configuration/Notifications"
    auth = (server.world.account_sid, server.world.auth_token)
    requests.post(url, data={"NewMessage.Sound": "horn"}, auth=auth, timeout=10).raise_for_status()
    seen = ask(server, "/_standin").json()
    assert seen["services"] == {SERVICE: {"new_message.sound": "horn"}}
    assert seen["writes"] == [f"POST /v1/Services/{SERVICE}/Configuration/Notifications"]
