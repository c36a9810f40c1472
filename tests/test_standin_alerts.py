"""The stand-in's alerts behave as FACTS says Monitor's do, and a million of them take no room."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from migrate.model.errors import InputError
from migrate.standin.alerts import AlertLog, Timeline, ticks
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World, load_world, make_world
from tests.conftest import TOKEN, Serve, service_sid, tiny_world

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
ACCOUNT, KEY = "AC" + "1" * 32, "SK" + "1" * 32
CREDENTIAL = "CR" + "1".zfill(32)
SEVERAL = [
    {"code": 52117, "count": 7, "hours_ago": [30, 0], "credential": "push", "resource_sid": ["credential", "none"]},
    {"code": 52116, "count": 3, "hours_ago": [20, 10], "log_level": "warning", "resource_sid": "binding"},
    {"code": 11200, "count": 4, "hours_ago": 10, "service_sid": "service"},
    {"code": 52131, "count": 2, "hours_ago": [24 * 31, 24 * 30 + 1]},
]


def world(*groups: dict[str, Any], **log: Any) -> World:
    made = make_world({**tiny_world(), "alerts": list(groups)})
    return replace(made, alerts=replace(made.alerts, **log))


def get(server: StandInServer, path: str = "/v1/Alerts", **params: Any) -> requests.Response:
    return requests.get(f"{server.url}{path}", params=params, auth=(ACCOUNT, TOKEN), timeout=10)


def walk(server: StandInServer, **params: Any) -> list[dict[str, Any]]:
    """All alerts of a query, page by page."""
    found: list[dict[str, Any]] = []
    body = get(server, **params).json()
    while True:
        found += body["alerts"]
        link = body["meta"]["next_page_url"]
        if link is None:
            return found
        body = get(server, link.removeprefix(server.url)).json()


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_alerts_come_newest_first_each_once_and_only_those_of_30_days(serve: Serve, size: int) -> None:
    server = serve(world(*SEVERAL))
    found = walk(server, PageSize=size)
    dates = [item["date_generated"] for item in found]
    assert dates == sorted(dates, reverse=True)
    assert (dates[0], dates[-1]) == ("2026-06-15T08:00:00Z", "2026-06-14T02:00:00Z")
    assert len({item["sid"] for item in found}) == len(found) == 14
    assert [item["error_code"] for item in found].count("52117") == 7
    for item in found[::5]:
        whole = get(server, f"/v1/Alerts/{item['sid']}").json()
        assert whole.items() > item.items()
        assert item["url"] == f"{server.url}/v1/Alerts/{item['sid']}"
    hidden = server.world.alerts.groups[3].alert(0, 0).sid
    unknown = ("NO" + "0" * 32, "nothing", hidden)
    assert [get(server, f"/v1/Alerts/{sid}").status_code for sid in unknown] == [404, 404, 404]


def test_dates_are_included_and_a_day_is_whole_and_levels_are_told_apart(serve: Serve) -> None:
    server = serve(world(*SEVERAL))
    ten = (NOW - timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%SZ")  # 14 June, 22:00
    assert len(walk(server, StartDate=ten, EndDate=ten)) == 1 + 1 + 4
    assert len(walk(server, StartDate=ten)) == 1 + 1 + 4 + 2
    assert len(walk(server, EndDate=ten)) == 14 - 2
    assert len(walk(server, StartDate="2026-06-15")) == 2
    assert len(walk(server, EndDate="2026-06-14")) == 14 - 2
    assert len(walk(server, StartDate="2026-06-14", EndDate="9999-12-31")) == 14
    assert walk(server, StartDate="2026-06-15", EndDate="2026-06-14") == []
    assert {item["error_code"] for item in walk(server, LogLevel="warning")} == {"52116"}
    assert walk(server, LogLevel="debug") == []


def test_a_query_that_cannot_be_answered_is_refused(serve: Serve) -> None:
    server = serve(world(*SEVERAL))
    for params in (
        {"StartDate": "2026-05-16T07:59:59Z"}, {"StartDate": "2026-05-15"}, {"EndDate": "2026-05-15"},
        {"StartDate": "yesterday"}, {"EndDate": "2026-06-31"}, {"EndDate": ""}, {"LogLevel": "loud"},
        {"PageSize": "0"}, {"Page": "1"},
    ):  # fmt: skip
        answer = get(server, **params)
        assert (params, answer.status_code, answer.json()["status"]) == (params, 400, 400)


def test_alerts_of_exactly_30_days_ago_can_be_asked_for(serve: Serve) -> None:
    made = world({"code": 52117, "hours_ago": 30 * 24})
    made.now += timedelta(microseconds=5)  # answers say full seconds
    server = serve(made)
    assert len(walk(server, StartDate="2026-05-16T08:00:00Z")) == len(walk(server, StartDate="2026-05-16")) == 1


def test_a_page_has_50_alerts_or_up_to_1000(serve: Serve) -> None:
    server = serve(world({"code": 52117, "count": 1001, "hours_ago": [5, 1]}))
    assert len(get(server).json()["alerts"]) == 50
    assert len(get(server, PageSize=1000).json()["alerts"]) == 1000
    assert get(server, PageSize=1001).json()["meta"]["page_size"] == 1000


def test_a_query_ends_at_the_10000th_alert_or_is_refused_beyond_it(serve: Serve) -> None:
    many = {"code": 52117, "count": 10_001, "hours_ago": [5, 1]}
    found = walk(serve(world(many)), PageSize=1000)
    assert (len(found), found[-1]["date_generated"]) == (10_000, "2026-06-15T03:00:02Z")
    server = serve(world({**many, "count": 5}, most=4, beyond="refused"))
    last = get(server, get(server, PageSize=2).json()["meta"]["next_page_url"].removeprefix(server.url)).json()
    assert get(server, last["meta"]["next_page_url"].removeprefix(server.url)).status_code == 400
    assert len(walk(server, StartDate="2026-06-15T04:00:00Z")) == 4


def test_queries_can_go_by_when_an_alert_was_created(serve: Serve) -> None:
    late = {"code": 1, "hours_ago": 2, "created_after": 3600}
    prompt = {"code": 2, "hours_ago": 1.5}
    server = serve(world(late, prompt))
    assert [item["error_code"] for item in walk(server)] == ["2", "1"]
    server = serve(world(late, prompt, by="created"))
    assert [item["error_code"] for item in walk(server)] == ["1", "2"]
    assert [item["date_created"] for item in walk(server, StartDate="2026-06-15T07:00:00Z")] == [
        "2026-06-15T07:00:00Z"
    ]


def test_each_field_carries_what_the_world_file_says_in_turn(serve: Serve) -> None:
    server = serve(
        world(
            {
                "code": 52134,
                "count": 4,
                "hours_ago": 1,
                "credential": "push",
                "identity": ["person-0001", "person-0003"],
                "resource_sid": ["binding", "none", "CA" + "7" * 32],
                "service_sid": "service",
                "alert_text": "{n}: {credential} of {service}, {binding}, a@example.test",
                "request_url": [None, "https://example.test/{n}"],
                "dates": "created",
            },
            {"code": None, "hours_ago": 2, "service": "Tiny", "gone": 2, "resource_sid": "binding", "dates": "none"},
        )
    )
    first, second, third, fourth, last = walk(server)
    ones = [binding.sid for binding in server.world.services[service_sid(1)].bindings]
    assert [item["resource_sid"] for item in (first, second, third)] == [ones[0], None, "CA" + "7" * 32]
    assert fourth["resource_sid"] == ones[2]
    assert first["alert_text"] == f"1: {CREDENTIAL} of {service_sid(1)}, {ones[0]}, a@example.test"
    assert [item["request_url"] for item in (first, second)] == [None, "https://example.test/2"]
    assert (first["service_sid"], first["date_generated"], first["date_created"]) == (
        service_sid(1), None, "2026-06-15T07:00:02Z",
    )  # fmt: skip
    assert (last["error_code"], last["more_info"], last["date_created"]) == (None, None, None)
    assert last["resource_sid"] not in ones


@pytest.mark.parametrize(
    "group",
    [
        {"hours_ago": 1}, {"code": 1}, {"code": 1, "hours_ago": 1, "count": 0}, {"code": 1, "hours_ago": "long"},
        {"code": 1, "hours_ago": 1, "colour": "red"}, {"code": 1, "hours_ago": 1, "service": "None of them"},
        {"code": 1, "hours_ago": 1, "credential": "None of them"}, {"code": 1, "hours_ago": 1, "dates": "several"},
        {"code": 1, "hours_ago": 1, "identity": "no one", "resource_sid": "binding"},
        {"code": 1, "hours_ago": 1, "service_sid": "credential"}, "an alert",
    ],
)  # fmt: skip
def test_a_group_that_cannot_be_is_one_line(tmp_path: Any, group: Any) -> None:
    import yaml

    path = tmp_path / "world.yaml"
    path.write_text(yaml.safe_dump({**tiny_world(), "alerts": [group]}))
    with pytest.raises(InputError, match="is not a world file"):
        load_world(path)


def test_authentication_and_faults_are_those_of_the_other_apis(serve: Serve) -> None:
    server = serve(world(*SEVERAL))
    refused = requests.get(f"{server.url}/v1/Alerts", auth=(ACCOUNT, "wrong"), timeout=10)
    assert (refused.status_code, refused.json()["code"]) == (401, 20003)
    assert get(serve(world(*SEVERAL), faults=Faults(rate=1, kinds=("503",)))).status_code == 503
    server = serve(world(*SEVERAL), faults=Faults(token_expiry=1))
    link = get(server, PageSize=2).json()["meta"]["next_page_url"]
    assert get(server, link.removeprefix(server.url)).status_code == 400
    assert get(serve(world(*SEVERAL), prerendered=True), PageSize=2).json()["meta"]["key"] == "alerts"


def test_a_key_without_the_permission_reads_all_but_alerts(serve: Serve) -> None:
    server = serve(replace(world(*SEVERAL, closed_to={KEY}), api_keys={KEY: "secret"}))
    sid = server.world.alerts.groups[0].alert(0, 0).sid
    for path, status in (("/v1/Alerts", 403), (f"/v1/Alerts/{sid}", 403), ("/v1/Services", 200)):
        answer = requests.get(f"{server.url}{path}", auth=(KEY, "secret"), timeout=10)
        assert answer.status_code == status
        assert status == 200 or answer.json()["code"] == 20003
    assert get(server).status_code == 200


def test_unmodified_twilio_python_reads_alerts(serve: Serve) -> None:
    server = serve(world(*SEVERAL))
    client: Any = Client(ACCOUNT, TOKEN)  # type: ignore[no-untyped-call]
    client.monitor.base_url = server.url
    alerts = client.monitor.v1.alerts
    assert [item.sid for item in alerts.list(page_size=5)] == [item["sid"] for item in walk(server)]
    ten = NOW - timedelta(hours=10)
    assert len(alerts.list(log_level="error", start_date=ten, end_date=ten)) == 5
    found = alerts.list(start_date=NOW, limit=1)[0]
    assert (found.error_code, found.resource_sid, found.date_generated) == ("52117", CREDENTIAL, NOW)
    assert alerts(found.sid).fetch().response_body == ""
    with pytest.raises(TwilioException, match="Unable to fetch page"):
        alerts.list(start_date=NOW - timedelta(days=31))


seconds = st.integers(-20, 4 * 3600) | st.sampled_from([-5, 0, 4, 3600, 4 * 3600])
groups = st.lists(
    st.builds(
        lambda count, newest, span: {"code": 1, "count": count, "hours_ago": [newest + span, newest]},
        st.integers(1, 30),
        st.sampled_from([0, 0.001, 1, 2.5]),
        st.sampled_from([0, 0.001, 0.01, 1]),
    ),
    max_size=4,
)


@given(groups, seconds, seconds, st.integers(0, 140), st.integers(0, 20))
def test_any_stretch_of_any_groups_is_that_of_the_whole_list_sorted(
    groups: list[dict[str, Any]], since: int, until: int, start: int, length: int
) -> None:
    made = world(*groups)
    first, last = (ticks(NOW - timedelta(seconds=each)) for each in (since, until))
    every = [
        (-group.time(place), number, place, group.alert(place, 0).sid)
        for number, group in enumerate(made.alerts.groups)
        for place in range(len(group))
        if first <= group.time(place) <= last
    ]
    expected = [sid for *_, sid in sorted(every)]
    found = Timeline(made.alerts.groups, first, last, "generated", 10_000)
    assert len(found) == len(expected)
    assert [alert.sid for alert in found[start : start + length]] == expected[start : start + length]
    assert [found[place].number for place in range(len(found))[:3]] == [*range(len(found))][:3]
    with pytest.raises(IndexError):
        found[len(found)]


def test_a_million_alerts_take_no_room_and_any_of_them_is_found_at_once() -> None:
    made = world({"code": 52117, "count": 1_000_000, "hours_ago": [24 * 29, 0]}, SEVERAL[1])
    tracemalloc.start()
    found = Timeline(made.alerts.groups, 0, ticks(NOW), "generated", 2_000_000)
    page = found[700_000:701_000]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), page[0].number, len({alert.sid for alert in page})) == (1_000_003, 700_000, 1000)
    assert peak < 2_000_000
    again = made.alerts.of_sid(page[5].sid, NOW)
    assert again
    assert again.generated == page[5].generated


def test_a_world_without_alerts_has_an_empty_list(serve: Serve) -> None:
    nothing = AlertLog().find(NOW, None, None, None)
    assert nothing[:] == []
    with pytest.raises(IndexError):
        nothing[0]
    assert get(serve(tiny_world())).json()["alerts"] == []
