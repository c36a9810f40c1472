"""Prerendered pages are the pages that the stand-in would render, let nobody in, and stay as they were."""

from __future__ import annotations

import copy
import itertools
from typing import Any
from urllib.parse import quote

import pytest
import requests

from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import Serve, service_sid, tiny_world

SERVICE = service_sid(1)


def get(
    server: StandInServer, path: str, method: str = "GET", session: requests.Session | None = None
) -> requests.Response:
    options: Any = {"auth": (server.world.account_sid, server.world.auth_token), "timeout": 10}
    return (session or requests).request(method, f"{server.url}{path}", headers={"Host": "the-same"}, **options)


def lists(world: World) -> list[str]:
    """The address of every list of a world, and of bindings by every filter, in small and in default pages."""
    found = [f"/{api}/{name}" for api in ("v1", "v2") for name in ("Services", "Credentials")]
    for service in world.services.values():
        identities = [quote(item.identity or "", safe="") for item in service.bindings[:30:14]]
        filters = ["", "BindingType=fcm", "BindingType=apn&BindingType=gcm", "BindingType=twilsock"]
        filters += [f"Identity={identity}" for identity in identities]
        filters += ["&".join(f"Identity={identity}" for identity in identities) + "&BindingType=apn"]
        bases = [f"/{api}/Services/{service.sid}/Bindings" for api in ("v1", "v2")]
        bases += [f"/v2/Services/{service.sid}/Users/{identity}/Bindings" for identity in identities if identity]
        found += [f"{base}?{query}".rstrip("?") for base, query in itertools.product(bases, filters)]
    return [*found, *(f"{path}{'&' if '?' in path else '?'}PageSize=7" for path in found)]


@pytest.mark.long
def test_every_page_of_every_list_and_filter_is_the_rendered_page(serve: Serve, odd_content: dict[str, Any]) -> None:
    worlds = [make_world(copy.deepcopy(odd_content)) for _ in range(2)]
    plain, kept = serve(worlds[0]), serve(worlds[1], prerendered=True)
    pages = 0
    with requests.Session() as session:
        for path in lists(worlds[0]):
            following: str | None = path
            while following:
                wanted = get(plain, following, session=session)
                assert wanted.status_code == 200
                for _ in range(2):  # rendered, and kept
                    found = get(kept, following, session=session)
                    assert (found.content, found.headers) == (wanted.content, wanted.headers)
                following = wanted.json()["meta"]["next_page_url"]
                following = following and following.removeprefix("http://the-same")
                pages += 1
    assert pages > len(lists(worlds[0]))


def test_links_lead_to_the_host_that_was_asked(serve: Serve) -> None:
    server = serve(tiny_world(), prerendered=True)
    auth = (server.world.account_sid, server.world.auth_token)
    for host in ("one", "other:1", "one"):
        url = f"{server.url}/v2/Services?PageSize=5"
        meta = requests.get(url, auth=auth, headers={"Host": host}, timeout=10).json()["meta"]
        assert meta["url"].startswith(f"http://{host}/v2/Services?")


def test_a_kept_page_is_for_those_with_the_right_credentials(serve: Serve) -> None:
    server = serve(tiny_world(), prerendered=True)
    path = f"/v2/Services/{SERVICE}/Bindings"
    assert get(server, path).status_code == 200
    for auth in (None, (server.world.account_sid, "wrong")):
        assert requests.get(f"{server.url}{path}", auth=auth, timeout=10).status_code == 401
    assert get(server, path, "HEAD").headers["Content-Length"] == str(len(get(server, path).content))
    assert server.world.requests == 5


@pytest.mark.parametrize("path", ["/v2/Services?PageSize=0", "/v2/Nothing/Bindings", "/v1/Services?Page=1"])
def test_an_error_is_an_error_again(serve: Serve, path: str) -> None:
    server = serve(tiny_world(), prerendered=True)
    assert {get(server, path).status_code for _ in range(2)} <= {400, 404}


def test_what_changes_shows_in_what_is_no_list(serve: Serve) -> None:
    server = serve(tiny_world(), prerendered=True)
    bindings, notifications = (
        f"/v1/Services/{SERVICE}/Bindings",
        f"/v1/Services/{SERVICE}/Configuration/Notifications",
    )
    before, settings = get(server, bindings).json(), get(server, notifications).json()
    gone = f"{bindings}/{before['bindings'][0]['sid']}"
    auth = (server.world.account_sid, server.world.auth_token)
    assert get(server, gone, "DELETE").status_code == 204
    requests.post(f"{server.url}{notifications}", data={"LogEnabled": "true"}, auth=auth, timeout=10)
    assert get(server, gone).status_code == 404
    assert get(server, notifications).json() == {**settings, "log_enabled": True}
    assert get(server, bindings).json() == before  # a page stays as it was
    assert get(server, f"{bindings}?PageSize=2").json()["bindings"] == before["bindings"][1:3]


def test_faults_go_with_prerendered_pages(serve: Serve) -> None:
    server = serve(tiny_world(), faults=Faults(rate=0.5, kinds=("503",)), prerendered=True)
    answers = [get(server, f"/v2/Services/{SERVICE}/Bindings") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert len({answer.content for answer in answers}) == 2
