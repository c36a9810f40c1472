"""push-config.yaml: the push configuration as a file that people review and edit. Text in, text out.

Each value carries a comment that says where it comes from. ServiceProgress checks every key and every value, and
an error names the line and, for a misspelt key, what was probably meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NoReturn

import yaml

from migrate.model.errors import InputError
from migrate.model.proposal import Proposal
from migrate.model.push_config import FIELD_BY_PATH, FIELDS, PushConfig, ServiceConfig, Settings, Value, in_order
from migrate.model.push_credential import REFERENCES, CredentialConfig
from migrate.model.sids import is_credential_sid, is_service_sid, normal
from migrate.model.text import did_you_mean

FORMAT = 1
_HEADER = """\
# The push configuration that Conversations should have, one entry a service. Review it and edit it freely:
# `chat-migrate load` compares it with what is live. A key that is left out means: leave it as it is there.
# Push credentials to create, or to give another secret, go under a key `credentials`: see docs/credentials.md.
"""
_PROPOSED = """\
# A line that begins with "# " and says "proposed" is not written, because Chat does not state that value. To have it
# written, take the "# " away; to decide against it, state another value. Until then it waits for a decision.
"""
_REMEDY = "Correct it there; chat-migrate map writes the file again, into another folder or with --overwrite"
_DEEPEST = 100  # nested collections; this file has 6
_TOP = ("format_version", "services", "credentials")
_CREDENTIAL = ("type", "sid", "sandbox", *(key for keys in REFERENCES.values() for key in keys))
_BOOL_TAG = "tag:yaml.org,2002:bool"
_INT_TAG = "tag:yaml.org,2002:int"
_STR_TAG = "tag:yaml.org,2002:str"
_NULL_TAG = "tag:yaml.org,2002:null"


def dump(
    configs: Iterable[ServiceConfig],
    left_out: Mapping[str, str] | None = None,
    proposals: Iterable[Proposal] = (),
) -> str:
    """The file's text, services in the order of their SID, values in the order of `FIELDS`.

    `left_out` are the names by SID of services that have no entry; a comment names them. `proposals` stand in
    comments, each in the place where it is a value once the comment's sign is taken away.
    """
    proposed: dict[str, dict[str, Proposal]] = {}
    for proposal in proposals:
        proposed.setdefault(proposal.service_sid, {})[proposal.path] = proposal
    header = f"{_HEADER}{_PROPOSED}" if proposed else _HEADER
    lines = [header, f"format_version: {FORMAT}", "services:"]
    ordered = sorted(configs, key=lambda config: config.service_sid)
    for config in ordered:
        lines += ["", f"  {config.service_sid}:", f"    friendly_name: {_scalar(config.friendly_name)}"]
        lines += _dump_settings(config, proposed.get(config.service_sid, {}))
    if not ordered:
        lines[-1] += " {}"
    for sid, name in sorted((left_out or {}).items()):
        lines += ["", f"  # {sid} {_scalar(name)}: left out by the rules, and so left as it is"]
    return "\n".join(lines) + "\n"


def dump_credentials(credentials: Iterable[CredentialConfig]) -> str:
    """The key `credentials` as the file has it, behind an empty line; empty without any."""
    entries = {
        found.friendly_name: {
            **({"sid": found.credential_sid} if found.credential_sid else {}),
            **{key: value for key, value in found.to_json().items() if key != "friendly_name"},
        }
        for found in credentials
    }
    if not entries:
        return ""
    text: str = yaml.safe_dump({"credentials": entries}, allow_unicode=True, sort_keys=False, width=float("inf"))
    return f"\n{text}"


def _dump_settings(config: ServiceConfig, proposals: Mapping[str, Proposal]) -> list[str]:
    settings = in_order({path: proposal.value for path, proposal in proposals.items()} | dict(config.settings))
    if not settings:
        return ["    notifications: {}"]
    lines = ["    notifications:"]
    parents: list[str] = []
    for path, value in settings.items():
        *groups, key = path.split(".")
        for depth, group in enumerate(groups):
            if parents[depth : depth + 1] != [group]:
                lines.append("      " + "  " * depth + f"{group}:")
        parents = groups
        is_proposed = path not in config.settings
        origin = f"proposed: {proposals[path].evidence}" if is_proposed else config.origins.get(path, "")
        comment = f"  # {origin}" if origin else ""
        sign = "# " if is_proposed else ""
        lines.append("      " + "  " * len(groups) + f"{sign}{key}: {_scalar(value)}{comment}")
    return lines


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _in_quotes(value)


@lru_cache(1024)  # many services have the same text
def _in_quotes(text: str) -> str:
    # A double-quoted scalar on one line: PyYAML escapes what a reader would refuse.
    found: str = yaml.safe_dump(text, allow_unicode=True, default_style='"', width=float("inf"))
    return found.strip()


def quoted(text: str) -> str:
    """A text for a comment: in quotes, on one line, with nothing that a YAML reader would refuse."""
    return _scalar(text)


def parse(text: str, source: str) -> PushConfig:
    """Read the file's text; `source` is the name that errors give.

    Raises `InputError` with the line for bad YAML, unknown or repeated keys, and values of a wrong type. What stands
    in the place of a reference to a secret is never shown: it may be the secret.
    """
    try:
        root = compose(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"{source} line {_line(error, text)}: not valid YAML: {_problem(error)}", remedy=_REMEDY
        ) from None
    except RecursionError:
        raise InputError(f"{source}: nested too deeply", remedy=_REMEDY) from None
    return _Reader(source).config(root)


def compose(text: str) -> yaml.Node | None:
    """The file's nodes: by libyaml, some seven times as fast, where it takes the text; else by PyYAML's own reader.

    libyaml composes on the C stack, without a limit, so it gets nothing that nests deeper than this file ever does.
    """
    loader = getattr(yaml, "CSafeLoader", None)
    with suppress(yaml.YAMLError):
        if loader and not _is_deep(yaml.parse(text, Loader=loader)):
            return yaml.compose(text, Loader=loader)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _is_deep(events: Iterable[yaml.Event]) -> bool:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return True
    return False


def _is_empty(node: yaml.Node) -> bool:
    """Whether nothing stands behind a key, as where all that is below it are comments; not the word null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG and not node.value


def _line(error: yaml.YAMLError, text: str) -> int:
    if mark := getattr(error, "problem_mark", None):
        return int(mark.line) + 1
    return text.count("\n", 0, getattr(error, "position", 0)) + 1


def _problem(error: yaml.YAMLError) -> str:
    return getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"


class _Reader:
    """Walks the YAML nodes, which know their lines."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, node: yaml.Node | None, problem: str) -> NoReturn:
        line = node.start_mark.line + 1 if node is not None else 1  # none: the file is empty
        raise InputError(f"{self.source} line {line}: {problem}", remedy=_REMEDY)

    def mapping(
        self, node: yaml.Node | None, what: str, *, is_told: bool = True
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping: key → (key node, value node), each key once; `is_told` if errors may name it."""
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, f"{what} must be a mapping of keys to values")
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.fail(key, f"a key under {what} must be a word")
            self.text(key, f"a key under {what}")
            if key.value in entries:
                self.fail(key, f"{repr(key.value) if is_told else 'a key'} stands twice under {what}")
            entries[key.value] = (key, value)
        return entries

    def by_sid(self, entries: dict[str, tuple[yaml.Node, yaml.Node]]) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries by the SID that each key is, in Twilio's spelling; each SID once, however it is spelled."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for sid, (key, value) in entries.items():
            issued = normal(sid) if is_service_sid(sid) else sid
            if issued in found:
                self.fail(key, f"{issued!r} stands twice under services, in capitals and in small letters")
            found[issued] = (key, value)
        return found

    def unknown(self, key: yaml.Node, name: str, what: str, known: Iterable[str]) -> NoReturn:
        self.fail(key, f"unknown key {name!r} under {what}; {did_you_mean(name, known)}")

    def config(self, root: yaml.Node | None) -> PushConfig:
        top = self.mapping(root, "the file")
        for name, (key, _) in top.items():
            if name not in _TOP:
                self.unknown(key, name, "the file", _TOP)
        version = top["format_version"][1] if "format_version" in top else None
        if not isinstance(version, yaml.ScalarNode) or (version.tag, version.value) != (
            _INT_TAG,
            str(FORMAT),
        ):
            self.fail(version or root, f"format_version must be {FORMAT}")
        if "services" not in top:
            self.fail(root, "the key 'services' is missing")
        services = self.by_sid(self.mapping(top["services"][1], "services"))
        credentials = self.mapping(top["credentials"][1], "credentials") if "credentials" in top else {}
        return PushConfig(
            tuple(
                sorted((self.service(sid, *nodes) for sid, nodes in services.items()), key=lambda c: c.service_sid)
            ),
            tuple(self.credential(*credentials[name]) for name in sorted(credentials)),
        )

    def credential(self, key: yaml.Node, node: yaml.Node) -> CredentialConfig:
        what = f"the credential {key.value!r}"
        entries = self.mapping(node, what, is_told=False)
        for name, (name_node, _) in entries.items():
            if name not in _CREDENTIAL:  # which may be a secret that was pasted there
                self.fail(name_node, f"an unknown key under {what}; it has {', '.join(_CREDENTIAL)}")
        values = {
            name: self.value(value, bool if name == "sandbox" else str, f"{name} of {what}")
            for name, (_, value) in entries.items()
        }
        sandbox, sid = values.pop("sandbox", None), values.pop("sid", None)
        kind = str(values.pop("type", ""))
        secrets = {name: str(value) for name, value in values.items()}
        issued = normal(str(sid)) if is_credential_sid(sid) else sid
        config = CredentialConfig(
            key.value, kind, secrets, None if sandbox is None else bool(sandbox), None if sid is None else str(issued)
        )
        if problem := config.problem():
            self.fail(key, f"{what}: {problem}")
        return config

    def service(self, sid: str, key: yaml.Node, node: yaml.Node) -> ServiceConfig:
        if not is_service_sid(sid):
            self.fail(key, f"{sid!r} is not a service SID (IS and 32 hexadecimal digits)")
        entries = self.mapping(node, sid)
        for name, (name_node, _) in entries.items():
            if name not in ("friendly_name", "notifications"):
                self.unknown(name_node, name, sid, ("friendly_name", "notifications"))
        name = ""
        if "friendly_name" in entries:
            name = str(self.value(entries["friendly_name"][1], str, "friendly_name"))
        settings: Settings = {}
        if "notifications" in entries and not _is_empty(entries["notifications"][1]):
            settings = in_order(self.settings(entries["notifications"][1], ""))
        return ServiceConfig(sid, name, settings)

    def settings(self, node: yaml.Node, prefix: str) -> dict[str, Value]:
        """The settings below one mapping; `prefix` is its path with a dot at the end, or empty."""
        found: dict[str, Value] = {}
        keys = {item.path.removeprefix(prefix).split(".")[0] for item in FIELDS if item.path.startswith(prefix)}
        what = prefix.rstrip(".") or "notifications"
        for name, (key, value) in self.mapping(node, what).items():
            path = prefix + name
            if name not in keys:
                self.unknown(key, name, what, keys)
            if path not in FIELD_BY_PATH and _is_empty(value):
                continue  # all that stands below it are comments
            if path in FIELD_BY_PATH:
                found[path] = self.value(value, FIELD_BY_PATH[path].type, path)
            else:
                found.update(self.settings(value, path + "."))
        return found

    def value(self, node: yaml.Node, wanted: type[bool] | type[str], path: str) -> Value:
        tag = node.tag if isinstance(node, yaml.ScalarNode) else None
        if wanted is bool:
            if tag != _BOOL_TAG or node.value.lower() not in yaml.SafeLoader.bool_values:
                self.fail(node, f"{path} must be true or false; leave the key out to keep what is live")
            return bool(yaml.SafeLoader.bool_values[node.value.lower()])
        if tag != _STR_TAG:
            self.fail(node, f"{path} must be a text in quotes; leave the key out to keep what is live")
        return self.text(node, path)

    def text(self, node: yaml.Node, what: str) -> str:
        """A text that can be sent: half of a character, which YAML can write, is refused."""
        try:
            node.value.encode()
        except UnicodeEncodeError:
            self.fail(node, f"{what} holds half of a character (a lone surrogate)")
        return str(node.value)
