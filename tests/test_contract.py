"""The stand-in against Twilio's own OpenAPI documents, and under unmodified twilio-python."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from migrate.model.push_config import FIELDS
from migrate.model.push_credential import LONGEST_NAME, SECRET_FIELDS
from migrate.standin.paging import OPENAPI_MAXIMA
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.conftest import SHARED_OPENAPI, Serve, service_sid

CHAT = SHARED_OPENAPI / "twilio_chat_v2.json"
CONVERSATIONS = SHARED_OPENAPI / "twilio_conversations_v1.json"
MONITOR = SHARED_OPENAPI / "twilio_monitor_v1.json"
NOTIFICATIONS = "/v1/Services/{ChatServiceSid}/Configuration/Notifications"


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    if not CHAT.exists() and "CHAT_MIGRATE_REQUIRE_CONTRACT" not in os.environ:
        pytest.skip("Twilio's OpenAPI documents are not beside the project")
    files = {"/v2": CHAT, "/v1": CONVERSATIONS, "/v1/Alerts": MONITOR}
    return {path: json.loads(file.read_bytes()) for path, file in files.items()}


def document_of(documents: dict[str, Any], path: str) -> Any:
    """The document that describes a path: Conversations and Monitor are both v1, of hosts of their own."""
    return documents[max((base for base in documents if f"{path}/".startswith(f"{base}/")), key=len)]


def check(documents: dict[str, Any], method: str, url: str, status: int, body: Any) -> None:
    """Validate an answer against the schema of the operation that its address belongs to."""
    path = "/" + url.split("/", 3)[3].split("?")[0]
    document = document_of(documents, path)
    templates = [
        template
        for template, operations in document["paths"].items()
        if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    # A literal segment beats a parameter: `/Services/{Sid}` is not `/Services/X`.
    operation = document["paths"][min(templates, key=lambda template: template.count("{"))][method]
    assert str(status) in operation["responses"], f"{method} {path} must not answer {status}"
    content = operation["responses"][str(status)].get("content")
    if not content:
        assert body is None
        return
    resource = Resource.from_contents(document, default_specification=DRAFT4)
    registry: Registry[Any] = Registry().with_resource("", resource)
    schema = content["application/json"]["schema"]
    OAS30Validator(_strict(schema, document), registry=registry).validate(body)


def _strict(schema: Any, document: dict[str, Any]) -> Any:
    """The schema with its references in place, and with every property that it names required or absent on purpose.

    Twilio's schemas require nothing; left so, an empty object would pass.
    """
    if isinstance(schema, list):
        return [_strict(item, document) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _strict(target, document)
    strict = {key: _strict(value, document) for key, value in schema.items()}
    if isinstance(strict.get("properties"), dict):
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict


def paths(world: World) -> list[str]:
    """The address of every readable thing in a world."""
    found = ["/v2/Services", "/v1/Services", "/v2/Credentials", "/v1/Credentials", "/v1/Alerts?PageSize=9"]
    found += [f"/{version}/Credentials/{sid}" for version in ("v1", "v2") for sid in world.credentials]
    found += [f"/v1/Alerts/{group.alert(0, 0).sid}" for group in world.alerts.groups]
    for service in world.services.values():
        for version in ("v1", "v2"):
            base = f"/{version}/Services/{service.sid}"
            found += [base, f"{base}/Bindings"]
            if version == "v2" or service.shows_chat:
                found += [f"{base}/Bindings/{binding.sid}" for binding in service.bindings[:20]]
        base = f"/v1/Services/{service.sid}"
        found += [f"{base}/Bindings/{binding.sid}" for binding in service.conversations_bindings]
        found.append(f"{base}/Configuration/Notifications")
        found += [f"/v2/Services/{service.sid}/Users/{b.identity}/Bindings" for b in service.bindings[:1]]
    return found


def test_every_answer_validates_against_twilios_openapi_documents(
    documents: dict[str, Any], serve: Serve, odd_world: World
) -> None:
    server = serve(odd_world)
    auth = (odd_world.account_sid, odd_world.auth_token)
    with requests.Session() as session:
        for path in paths(odd_world):
            url: str | None = f"{server.url}{path}"
            while url:
                answer = session.get(url, auth=auth, timeout=10)
                check(documents, "get", url, answer.status_code, answer.json())
                url = answer.json().get("meta", {}).get("next_page_url")
        url = f"{server.url}/v1/Services/{service_sid(1)}/Configuration/Notifications"
        answer = session.post(url, data={"NewMessage.Enabled": "true"}, auth=auth, timeout=10)
        check(documents, "post", url, answer.status_code, answer.json())
        for sid in ("", *list(odd_world.credentials)[:1]):
            url = f"{server.url}/v1/Credentials{'/' if sid else ''}{sid}"
            answer = session.post(
                url, data={"Type": "fcm", "FriendlyName": "n", "Secret": "s"}, auth=auth, timeout=10
            )
            check(documents, "post", url, answer.status_code, answer.json())
        binding = odd_world.services[service_sid(1)].bindings[0].sid
        for version, sid in (("v2", binding), ("v1", odd_world.services[service_sid(2)].bindings[0].sid)):
            service = service_sid(1) if version == "v2" else service_sid(2)
            url = f"{server.url}/{version}/Services/{service}/Bindings/{sid}"
            answer = session.delete(url, auth=auth, timeout=10)
            check(documents, "delete", url, answer.status_code, answer.content or None)


def test_the_contract_check_notices_a_missing_and_a_mistyped_field(documents: dict[str, Any]) -> None:
    url = f"http://x/v2/Credentials/CR{'0' * 32}"
    names = documents["/v2"]["components"]["schemas"]["chat.v2.credential"]["properties"]
    good = {**dict.fromkeys(names), "type": "apn"}
    check(documents, "get", url, 200, good)
    for bad in ({**good, "type": "carrier pigeon"}, {**good, "sid": 7}, {"type": "apn"}, {**good, "color": "red"}):
        with pytest.raises(Exception, match=r"."):
            check(documents, "get", url, 200, bad)


def test_our_field_names_are_the_form_fields_that_twilio_takes(documents: dict[str, Any]) -> None:
    body = documents["/v1"]["paths"][NOTIFICATIONS]["post"]["requestBody"]
    properties = body["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    kinds = {bool: "boolean", str: "string"}
    assert {item.form: kinds[item.type] for item in FIELDS} == {
        name: schema["type"] for name, schema in properties.items()
    }


@pytest.mark.parametrize("path", ["/v1/Credentials", "/v1/Credentials/{Sid}"])
def test_our_fields_of_credentials_are_those_that_twilio_takes(documents: dict[str, Any], path: str) -> None:
    """All but that for GCM, which is gone."""
    body = documents["/v1"]["paths"][path]["post"]["requestBody"]
    properties = body["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert {"Type", "FriendlyName", "Sandbox", "ApiKey", *SECRET_FIELDS} == set(properties)
    assert f"up to {LONGEST_NAME} characters" in properties["FriendlyName"]["description"]


def test_our_json_paths_are_those_of_twilios_example(documents: dict[str, Any]) -> None:
    responses = documents["/v1"]["paths"][NOTIFICATIONS]["get"]["responses"]
    example = responses["200"]["content"]["application/json"]["examples"]["fetch"]["value"]

    def leaves(value: Any, path: str) -> set[str]:
        if not isinstance(value, dict):
            return {path}
        return {leaf for key, item in value.items() for leaf in leaves(item, f"{path}.{key}" if path else key)}

    assert {item.path for item in FIELDS} == leaves(example, "") - {"account_sid", "chat_service_sid", "url"}


def test_the_page_size_maxima_are_those_of_openapi(documents: dict[str, Any]) -> None:
    for (version, key), maximum in OPENAPI_MAXIMA.items():
        name = "ServiceSid" if version == "/v2" else "ChatServiceSid"
        path = f"{version}/Services/{{{name}}}/Bindings" if key == "bindings" else f"{version}/{key.title()}"
        parameters = document_of(documents, path)["paths"][path]["get"]["parameters"]
        found = next(item["schema"]["maximum"] for item in parameters if item["name"] == "PageSize")
        assert (path, found) == (path, maximum)


@pytest.fixture
def twilio(serve: Serve, odd_world: World) -> tuple[Any, StandInServer]:
    """Unmodified twilio-python, with only its addresses set."""
    server = serve(odd_world)
    client = Client(odd_world.account_sid, odd_world.auth_token)  # type: ignore[no-untyped-call]
    client.chat.base_url = server.url
    client.conversations.base_url = server.url
    return client, server


def test_twilio_python_lists_and_streams_all_bindings(twilio: tuple[Any, StandInServer]) -> None:
    client, server = twilio
    service = server.world.services[service_sid(1)]
    expected = [binding.sid for binding in service.bindings]
    chat = client.chat.v2.services(service.sid)
    assert [item.sid for item in chat.bindings.list(page_size=7)] == expected
    assert [item.sid for item in chat.bindings.stream(page_size=50)] == expected
    own = [binding.sid for binding in service.conversations_bindings]
    found = client.conversations.v1.services(service.sid).bindings.list()
    assert [item.sid for item in found] == expected + own
    assert {item.binding_type for item in chat.bindings.list(binding_type=["fcm"])} == {"fcm"}
    assert {item.identity for item in chat.bindings.list(identity=["three-devices"])} == {"three-devices"}
    assert len(chat.users("three-devices").user_bindings.list()) == 3


def test_twilio_python_fetches_deletes_and_updates(twilio: tuple[Any, StandInServer]) -> None:
    client, server = twilio
    sid = service_sid(1)
    assert client.chat.v2.services(sid).fetch().notifications["new_message"]["sound"] == "chime.caf"
    assert len(client.chat.v2.services.list(page_size=2)) == len(client.conversations.v1.services.list()) == 7
    assert client.conversations.v1.services(sid).fetch().account_sid is None
    credential = client.chat.v2.credentials.list(page_size=2)[0]
    assert client.conversations.v1.credentials(credential.sid).fetch().friendly_name == credential.friendly_name
    binding = client.chat.v2.services(sid).bindings.list(limit=1)[0]
    assert client.chat.v2.services(sid).bindings(binding.sid).fetch().endpoint == binding.endpoint
    assert client.chat.v2.services(sid).bindings(binding.sid).delete()
    with pytest.raises(TwilioRestException) as error:
        client.conversations.v1.services(sid).bindings(binding.sid).fetch()
    assert (error.value.status, error.value.code) == (404, 20404)
    notifications = client.conversations.v1.services(sid).configuration.notifications()
    updated = notifications.update(new_message_enabled=True, new_message_with_media_template="${MEDIA_COUNT} files")
    assert updated.new_message["with_media"] == {"enabled": False, "template": "${MEDIA_COUNT} files"}
    assert notifications.fetch().new_message["enabled"] is True
    assert len(server.world.writes) == 2
