"""push-config.yaml: what is written is read again, and what is wrong is told with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.push_config_yaml import dump, parse, quoted
from migrate.model.errors import InputError
from migrate.model.push_config import FIELDS, ServiceConfig, flatten
from migrate.standin.world import make_world
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid, tiny_world

HEAD = f"format_version: 1\nservices:\n  {service_sid(1)}:\n    notifications:\n"
texts = st.text(max_size=30) | st.sampled_from(
    ["", "true", "null", "# no comment", "a\nb", "\x00\x7f\x85\u2028\ufeff", "🚕"]
)
settings = st.fixed_dictionaries(
    {}, optional={item.path: st.booleans() if item.type is bool else texts for item in FIELDS}
)
configs = st.lists(
    st.builds(ServiceConfig, st.integers(0, 99).map(service_sid), texts, settings),
    max_size=3,
    unique_by=lambda config: config.service_sid,
)


@given(configs, texts)
def test_what_is_written_is_read_again(configs: list[ServiceConfig], origin: str) -> None:
    told = [
        ServiceConfig(c.service_sid, c.friendly_name, c.settings, dict.fromkeys(c.settings, quoted(origin)))
        for c in configs
    ]
    assert parse(dump(told), "x").services == tuple(sorted(configs, key=lambda config: config.service_sid))


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "      # a comment\n",
        HEAD + "      new_message:\n        with_media:\n          # enabled: true\n",
    ],
)
def test_a_key_with_nothing_but_comments_below_it_states_nothing(text: str) -> None:
    assert parse(text, "x").services == (ServiceConfig(service_sid(1), "", {}),)


def test_an_edited_file_may_leave_out_and_reorder_keys() -> None:
    text = (
        f"services:\n  {service_sid(2)}: {{}}\n"
        f"  {service_sid(1)}: {{notifications: {{log_enabled: yes, new_message: {{with_media: {{enabled: off}}}}}}}}\n"
        "format_version: 1\n"
    )
    assert parse(text, "x").services == (
        ServiceConfig(service_sid(1), "", {"log_enabled": True, "new_message.with_media.enabled": False}),
        ServiceConfig(service_sid(2), "", {}),
    )


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: [", 1, "not valid YAML"),
        ("format_version: 1\nservices:\n\tx: 1\n", 3, "not valid YAML"),
        ("a: 1\nb: \x07", 2, "not valid YAML: special characters are not allowed"),
        ("", 1, "the file must be a mapping"),
        ("- 1", 1, "the file must be a mapping"),
        ("? [a]\n: 1", 1, "must be a word"),
        ("format_version: 2\nservices: {}", 1, "format_version must be 1"),
        ("format_version: '1'\nservices: {}", 1, "format_version must be 1"),
        ("services: {}", 1, "format_version must be 1"),
        ("format_version: 1", 1, "'services' is missing"),
        ("format_version: 1\nservice: {}", 2, "unknown key 'service' under the file; did you mean 'services'?"),
        ("format_version: 1\nservices:\n  IS1: {}", 3, "'IS1' is not a service SID"),
        (f"format_version: 1\nservices:\n  IS{'b' * 31}O: {{}}", 3, "is not a service SID"),
        (f"format_version: 1\nservices:\n  IS/../../v1/Credentials?{'x' * 10}: {{}}", 3, "is not a service SID"),
        ("[" * 600, None, "nested too deeply"),
        (HEAD + "      log_enabled: !!bool maybe", 5, "log_enabled must be true or false"),
        (
            HEAD + "      new_mesage: {}",
            5,
            "unknown key 'new_mesage' under notifications; did you mean 'new_message'?",
        ),
        (HEAD + "      new_message: {enabeld: true}", 5, "under new_message; did you mean 'enabled'?"),
        (HEAD + "      new_message:\n        zzz: 1", 6, "known: badge_count_enabled, enabled, sound"),
        (HEAD + "      new_message:\n        enabled: 'true'", 6, "new_message.enabled must be true or false"),
        (HEAD + "      new_message:\n        enabled:", 6, "new_message.enabled must be true or false"),
        (HEAD + "      new_message:\n        template: 5", 6, "new_message.template must be a text in quotes"),
        (HEAD + "      new_message:\n        sound: [x]", 6, "new_message.sound must be a text in quotes"),
        (HEAD + "      new_message: true", 5, "new_message must be a mapping"),
        (HEAD + "      new_message: null", 5, "new_message must be a mapping"),
        (HEAD + "      new_message:\n        with_media: ~", 6, "new_message.with_media must be a mapping"),
        (HEAD + "      log_enabled: true\n      log_enabled: true", 6, "'log_enabled' stands twice"),
        (HEAD + '      new_message: {template: "cut \\ud83d"}', 5, "new_message.template holds half of a character"),
        (
            'format_version: 1\nservices: {}\ncredentials:\n  "\\ud83d": {}',
            4,
            "credentials holds half of a character",
        ),
        (HEAD.replace("notifications", "notification"), 4, "did you mean 'notifications'?"),
        (HEAD.replace("    notifications:", "    friendly_name: 7"), 4, "friendly_name must be a text"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, "push-config.yaml")
    where = f"push-config.yaml line {line}: " if line else "push-config.yaml: "
    assert str(error.value).startswith(where)
    assert problem in str(error.value)
    assert "Correct it there" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("        enabled: true", "        enabld: true", "did you mean 'enabled'?"),
        ("services:", "services: [", "not valid YAML"),
        ("format_version: 1", "format_version: \u20ac", "format_version must be 1"),
    ],
)
def test_load_refuses_a_file_that_was_edited_wrongly(
    tmp_path: Path, run: Run, demo: Demo, old: str, new: str, problem: str
) -> None:
    mapped = tmp_path / "mapped"
    mapped.mkdir()
    (mapped / "summary.json").write_bytes((demo.folder / "mapped" / "summary.json").read_bytes())
    text = (demo.folder / "mapped" / "push-config.yaml").read_text("utf-8")
    (mapped / "push-config.yaml").write_text(text.replace(old, new, 1), "utf-8")
    result = run("load", mapped, "--replay", CASSETTE)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "push-config.yaml line " in result.stderr
    assert problem in result.stderr


def test_flatten_leaves_out_what_is_null_absent_or_mistyped() -> None:
    found = flatten(
        {"log_enabled": None, "new_message": {"enabled": "true", "template": "x"}, "removed_from_conversation": 1}
    )
    assert found == {"new_message.template": "x"}


def test_load_finds_what_is_written_in_capitals(tmp_path: Path, run: Run, serve: Serve) -> None:
    world = make_world(tiny_world())
    (service,) = world.services.values()
    sid, upper = "IS" + "ab" * 16, "IS" + "AB" * 16
    service.sid, world.services = sid, {sid: service}
    serve(world)
    assert run("run", "--out", tmp_path / "r").exit_code == 0
    file = tmp_path / "r" / "mapped" / "push-config.yaml"
    text = file.read_text("utf-8")
    said = json.loads(run("load", tmp_path / "r" / "mapped", "--json").stdout)
    file.write_text(text.replace(sid, upper), "utf-8")
    again = run("load", tmp_path / "r" / "mapped", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["changes"] == said["changes"] != []
    file.write_text(f"{text}\n  {upper}: {{}}\n", "utf-8")
    twice = run("load", tmp_path / "r" / "mapped")
    assert (twice.exit_code, twice.stderr.count("\n")) == (1, 1)
    assert f"'{sid}' stands twice under services" in twice.stderr


def test_a_credential_in_capitals_is_the_same_credential() -> None:
    text = "format_version: 1\nservices: {}\ncredentials:\n  mine: {type: fcm, secret: 'env:KEY', sid: '%s'}\n"
    small, capital = (parse(text % f"CR{digits * 16}", "x").credentials for digits in ("ab", "AB"))
    assert small == capital
