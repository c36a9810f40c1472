"""The stand-in behaves as FACTS says Twilio does."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from tests.conftest import TOKEN, Run, Serve, service_sid, tiny_world

SERVICE = service_sid(1)
ACCOUNT = "AC" + "1" * 32


def get(server: StandInServer, path: str, **params: Any) -> requests.Response:
    auth = (server.world.account_sid, server.world.auth_token)
    return requests.get(f"{server.url}{path}", params=params, auth=auth, timeout=10)


def post(server: StandInServer, path: str, form: dict[str, str]) -> requests.Response:
    auth = (server.world.account_sid, server.world.auth_token)
    return requests.post(f"{server.url}{path}", data=form, auth=auth, timeout=10)


def walk(server: StandInServer, path: str, key: str, **params: Any) -> list[list[dict[str, Any]]]:
    pages = []
    body = get(server, path, **params).json()
    while True:
        pages.append(body[key])
        link = body["meta"]["next_page_url"]
        if link is None:
            return pages
        assert link.startswith(f"{server.url}{path}?")
        body = get(server, link.removeprefix(server.url)).json()


@pytest.mark.parametrize("auth", [None, (ACCOUNT, "wrong"), ("AC" + "2" * 32, TOKEN)])
def test_requests_without_the_right_credentials_get_401_and_20003(serve: Serve, auth: Any) -> None:
    server = serve(tiny_world())
    answer = requests.get(f"{server.url}/v2/Services", auth=auth, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


def test_a_malformed_authorization_header_gets_401(serve: Serve) -> None:
    server = serve(tiny_world())
    headers = {"Authorization": "Basic not-base64!"}
    assert requests.get(f"{server.url}/v2/Services", headers=headers, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/Services/{service_sid(9)}",
        f"/v2/Services/{SERVICE}/Bindings/BS{'0' * 32}",
        f"/v2/Credentials/CR{'9' * 32}",
        f"/v1/Services/{service_sid(9)}/Configuration/Notifications",
        "/v2/NoSuchThing",
    ],
)
def test_what_is_not_there_gets_404_in_twilios_error_form(serve: Serve, path: str) -> None:
    answer = get(serve(tiny_world()), path)
    assert answer.status_code == 404
    assert answer.json() == {
        "code": 20404,
        "message": f"The requested resource {path} was not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


def test_a_method_that_is_not_offered_gets_405(serve: Serve) -> None:
    assert post(serve(tiny_world()), "/v2/Services", {}).status_code == 405


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v2/Services", "services"),
        ("/v1/Services", "services"),
        ("/v2/Credentials", "credentials"),
        ("/v1/Credentials", "credentials"),
        (f"/v2/Services/{SERVICE}/Bindings", "bindings"),
        (f"/v1/Services/{SERVICE}/Bindings", "bindings"),
    ],
)
def test_pages_hold_every_item_once_and_in_order(serve: Serve, demo_world: Any, path: str, key: str) -> None:
    server = serve(demo_world)
    whole = [item for page in walk(server, path, key) for item in page]
    pages = walk(server, path, key, PageSize=3)
    assert [item for page in pages for item in page] == whole
    assert len(pages) > 1
    assert all(len(page) == 3 for page in pages[:-1])
    assert len({item["sid"] for item in whole}) == len(whole)


def test_previous_pages_lead_back_to_the_first(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 5}]))
    path = f"/v2/Services/{SERVICE}/Bindings"
    first = get(server, path, PageSize=2).json()
    assert first["meta"]["previous_page_url"] is None
    second = get(server, first["meta"]["next_page_url"].removeprefix(server.url)).json()
    back = get(server, second["meta"]["previous_page_url"].removeprefix(server.url)).json()
    assert back["bindings"] == first["bindings"]
    assert back["meta"]["page"] == 0


def test_a_page_is_kept_its_place_when_bindings_before_it_go(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 6}]))
    path = f"/v2/Services/{SERVICE}/Bindings"
    first = get(server, path, PageSize=2).json()
    gone = first["bindings"][0]["sid"]
    auth = (ACCOUNT, TOKEN)
    assert requests.delete(f"{server.url}{path}/{gone}", auth=auth, timeout=10).status_code == 204
    second = get(server, first["meta"]["next_page_url"].removeprefix(server.url)).json()
    assert [item["sid"] for item in second["bindings"]] == [
        item.sid for item in server.world.services[SERVICE].bindings[1:3]
    ]


@pytest.mark.parametrize(
    "params",
    [
        {"Page": "1"},
        {"Page": "1", "PageToken": "nonsense"},
        {"Page": "one"},
        {"PageSize": "0"},
        {"PageSize": "many"},
    ],
)
def test_bad_paging_is_refused(serve: Serve, params: dict[str, str]) -> None:
    answer = get(serve(tiny_world()), "/v2/Services", **params)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


@pytest.mark.parametrize(
    ("sizes", "path", "used"),
    [
        (PageSizes("openapi", "cap"), f"/v2/Services/{SERVICE}/Bindings", 50),
        (PageSizes("openapi", "cap"), f"/v1/Services/{SERVICE}/Bindings", 100),
        (PageSizes("openapi", "cap"), "/v2/Credentials", 1000),
        (PageSizes("docs", "cap"), f"/v2/Services/{SERVICE}/Bindings", 1000),
        (PageSizes("openapi", "refuse"), f"/v2/Services/{SERVICE}/Bindings", None),
        (PageSizes("docs", "refuse"), f"/v2/Services/{SERVICE}/Bindings", None),
    ],
)
def test_page_sizes_over_the_maximum_are_capped_or_refused(
    serve: Serve, sizes: PageSizes, path: str, used: int | None
) -> None:
    answer = get(serve(tiny_world(), sizes), path, PageSize=1001)
    if used is None:
        assert answer.status_code == 400
    else:
        assert answer.json()["meta"]["page_size"] == used


def test_filters_can_be_repeated_and_combined(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 12, "identity": "p{n}", "binding_type": ["apn", "fcm", "gcm"]}]))
    path = f"/v2/Services/{SERVICE}/Bindings"

    def found(**params: Any) -> set[tuple[str, str]]:
        pages = walk(server, path, "bindings", PageSize=2, **params)
        return {(item["identity"], item["binding_type"]) for page in pages for item in page}

    assert {kind for _, kind in found(BindingType=["apn", "gcm"])} == {"apn", "gcm"}
    assert found(Identity=["p0001", "p0002"]) == {("p0001", "apn"), ("p0002", "fcm")}
    assert found(Identity=["p0001", "p0002"], BindingType="fcm") == {("p0002", "fcm")}


def test_a_user_has_bindings_by_identity_and_by_sid(serve: Serve) -> None:
    server = serve(
        tiny_world(bindings=[{"count": 4, "identity": ["a/b c", "other"], "binding_type": ["apn", "fcm"]}])
    )
    by_identity = get(server, f"/v2/Services/{SERVICE}/Users/a%2Fb%20c/Bindings").json()["bindings"]
    assert [item["identity"] for item in by_identity] == ["a/b c"] * 2
    user = by_identity[0]["user_sid"]
    assert get(server, f"/v2/Services/{SERVICE}/Users/{user}/Bindings").json()["bindings"] == by_identity
    assert get(server, f"/v2/Services/{SERVICE}/Users/{user}/Bindings", BindingType="fcm").json()["bindings"] == []


def test_conversations_shows_chats_bindings_and_its_own_under_its_own_name(serve: Serve) -> None:
    server = serve(tiny_world(conversations_bindings=[{"count": 2, "binding_type": "twilsock"}]))
    chat = get(server, f"/v2/Services/{SERVICE}/Bindings").json()["bindings"]
    conversations = get(server, f"/v1/Services/{SERVICE}/Bindings").json()["bindings"]
    assert len(chat) == 3
    assert [item["binding_type"] for item in conversations] == ["apn"] * 3 + ["twilsock"] * 2
    assert all(item["chat_service_sid"] == SERVICE and "links" not in item for item in conversations)


def test_a_service_that_conversations_lacks_is_only_in_chat(serve: Serve) -> None:
    server = serve(tiny_world(conversations=None))
    assert get(server, f"/v2/Services/{SERVICE}").status_code == 200
    assert get(server, f"/v1/Services/{SERVICE}").status_code == 404
    assert get(server, "/v1/Services").json()["services"] == []


def test_an_update_changes_the_named_fields_and_counts_as_a_write(serve: Serve) -> None:
    server = serve(tiny_world())
    path = f"/v1/Services/{SERVICE}/Configuration/Notifications"
    before = get(server, path).json()
    assert before["new_message"] == {"enabled": False, "badge_count_enabled": False, "with_media": {"enabled": False}}
    form = {"NewMessage.Enabled": "True", "NewMessage.Sound": "ring", "LogEnabled": "true"}
    after = post(server, path, form).json()
    assert after["new_message"] == {**before["new_message"], "enabled": True, "sound": "ring"}
    assert after["added_to_conversation"] == {"enabled": False}
    assert after["log_enabled"] is True
    assert server.world.writes == [f"POST {path}"]
    emptied = post(server, path, {"NewMessage.Sound": ""}).json()
    assert "sound" not in emptied["new_message"]


def test_an_unknown_field_is_ignored_and_a_mistyped_one_changes_nothing(serve: Serve) -> None:
    server = serve(tiny_world())
    path = f"/v1/Services/{SERVICE}/Configuration/Notifications"
    before = get(server, path).json()
    assert post(server, path, {"NewMesage.Enabled": "true"}).json() == before
    refused = post(server, path, {"LogEnabled": "true", "NewMessage.Enabled": "yes"})
    assert refused.status_code == 400
    assert get(server, path).json() == before


def test_a_deleted_binding_is_gone_on_both_sides(serve: Serve) -> None:
    server = serve(tiny_world())
    sid = server.world.services[SERVICE].bindings[1].sid
    path = f"/v1/Services/{SERVICE}/Bindings/{sid}"
    assert requests.delete(f"{server.url}{path}", auth=(ACCOUNT, TOKEN), timeout=10).status_code == 204
    assert get(server, path).status_code == 404
    assert get(server, f"/v2/Services/{SERVICE}/Bindings/{sid}").status_code == 404
    assert len(get(server, f"/v2/Services/{SERVICE}/Bindings").json()["bindings"]) == 2
    assert server.world.writes == [f"DELETE {path}"]


def test_answers_carry_the_worlds_clock(serve: Serve) -> None:
    assert get(serve(tiny_world()), "/v2/Services").headers["Date"] == "Mon, 15 Jun 2026 08:00:00 GMT"


def test_a_taken_port_is_one_line(serve: Serve, run: Run) -> None:
    port = serve(tiny_world()).url.rsplit(":", 1)[1]
    result = run("standin", "--port", port)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "address already in use" in result.stderr


@pytest.mark.parametrize("content", ["services: [", "services: []", "- 1", "now: 2026-01-01"])
def test_a_file_that_is_no_world_is_one_line(tmp_path: Any, run: Run, content: str) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(content)
    result = run("standin", "--world", world, "--port", "0")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is not a world file" in result.stderr
    assert run("standin", "--world", tmp_path / "absent").exit_code == 1


def test_credentials_are_made_and_changed_and_their_secrets_never_shown(serve: Serve) -> None:
    server = serve(tiny_world())
    form = {"Type": "APN", "FriendlyName": "new", "Sandbox": "true", "Certificate": "secret", "Misspelt": "x"}
    made = post(server, "/v1/Credentials", form)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["type"], shown["friendly_name"], shown["sandbox"]) == ("apn", "new", "True")
    assert "secret" not in made.text
    changed = post(server, f"/v1/Credentials/{shown['sid']}", {"Sandbox": "false"}).json()
    assert (changed["friendly_name"], changed["sandbox"]) == ("new", "False")
    assert get(server, f"/v2/Credentials/{shown['sid']}").json()["sandbox"] == "False"
    assert set(server.world.credentials[shown["sid"]].secrets) == {"Certificate"}
    assert len(server.world.writes) == 2


@pytest.mark.parametrize(
    "form", [{}, {"Type": "pigeon"}, {"Type": "fcm", "FriendlyName": "x" * 65}, {"Type": "apn", "Sandbox": "maybe"}]
)
def test_a_credential_that_cannot_be_is_refused_and_not_made(serve: Serve, form: dict[str, str]) -> None:
    server = serve(tiny_world())
    refused = post(server, "/v1/Credentials", form)
    assert (refused.status_code, refused.json()["code"]) == (400, 20001)
    assert (len(server.world.credentials), server.world.writes) == (1, [])
    assert post(server, f"/v1/Credentials/CR{'9' * 32}", {}).status_code == 404
