"""A reviewed mapped folder: what a person has edited in it, and what becomes of that when a new snapshot is mapped.

An edit is what differs from what the mapper had written, which the folder keeps beside push-config.yaml, proven by
the checksum in its summary. Where that is not there, nothing is taken for an edit, and nothing is carried over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrate.map.config_blocks import Blocks, blocks_of, comments_of, joined, lines_left_out
from migrate.map.mapped_folder import CONFIG, RULES, SUMMARY, Mapped, open_mapped
from migrate.map.mapped_writer import AS_MAPPED, as_mapped, is_edited
from migrate.map.push_config_yaml import dump, dump_credentials, parse, quoted
from migrate.map.rules import Rules
from migrate.map.rules_toml import default_rules, load_rules, own_rules
from migrate.model.errors import RefusedError, Step
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal
from migrate.model.push_config import FIELDS, PushConfig, ServiceConfig, Value
from migrate.model.text import printable

NAME = "friendly_name"
Ground = tuple[str, Value] | None  # what an edit was made on: a value that was stated or proposed; None: neither


@dataclass(frozen=True)
class Edit:
    """One edit: what the mapper had written (None: nothing), and what stands there now (None: it was taken out).

    An empty `path` is the whole entry of a service that was taken out.
    """

    service_sid: str
    path: str
    before: Value | None
    after: Value | None

    def to_json(self) -> dict[str, Any]:
        """The edit as the command line's JSON has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Reviewed:
    """A mapped folder that was reviewed: as it stands, and as the mapper had written it; and the rules to map by.

    `rules_edited` says that they are others than it was mapped by.
    """

    mapped: Mapped
    text: str
    base: PushConfig
    base_text: str
    rules: Rules
    rules_edited: bool

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What a person has edited, by service and in reading order; credentials, which no mapper writes, apart."""
        base, theirs = _by_sid(self.base), _by_sid(self.mapped.config)
        sids = sorted({**base, **theirs})
        return tuple(edit for sid in sids for edit in _edits(sid, base.get(sid), theirs.get(sid)))


@dataclass(frozen=True)
class CarriedOver:
    """The text of the new push-config.yaml with the edits in it, and what is to be said of those that do not fit."""

    text: str
    findings: tuple[Finding, ...]


def open_reviewed(folder: Path) -> Reviewed:
    """Read a reviewed mapped folder. Raises `InputError` as `open_mapped` and `load_rules` do, and `RefusedError`
    where it cannot be proven what in its push-config.yaml is an edit.
    """
    mapped = open_mapped(folder)
    base, path = as_mapped(folder), folder / RULES
    if base is None:
        raise RefusedError(
            f"What was edited in {folder / CONFIG} is unknown: {AS_MAPPED} beside it is missing, or was changed",
            kept="Nothing was written",
            remedy=(
                "Map its snapshot again into another folder, by the same rules: ",
                Step("map", {"snapshot": "SNAPSHOT", "out": "MAPPED", "rules": path}),
                f". Copy the edited {CONFIG} into that, and name it with --like",
            ),
        )
    rules = own_rules(path)
    is_other = rules.digest != mapped.summary.rules
    return Reviewed(
        mapped,
        (folder / CONFIG).read_bytes().decode("utf-8-sig").replace("\r\n", "\n"),  # as Windows' editors save it
        parse(base, str(folder / AS_MAPPED)),
        base,
        load_rules(path) if is_other else rules,
        is_other,
    )


def reviewed_beside(out: Path, account_sid: str, rules: Rules | None) -> list[Path]:
    """The mapped folders of an account beside `out` whose review a mapping by these rules ignores.

    Their push-config.yaml was edited, or they were mapped by rules of their own and no others are given now.
    """
    place = out.resolve()
    try:
        folders = sorted(path for path in place.parent.iterdir() if (path / SUMMARY).is_file())
    except OSError:
        return []
    given = (rules or default_rules()).digest
    others = (path for path in folders if path != place)
    return [path for path in others if _ignored(path, account_sid, given, with_rules=not rules)]


def _ignored(folder: Path, account_sid: str, given: str, *, with_rules: bool) -> bool:
    try:
        content = json.loads((folder / SUMMARY).read_bytes())
        account, rules = content["account_sid"], content["digests"]["rules"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    if account != account_sid or not (folder / CONFIG).is_file():
        return False
    return is_edited(folder, CONFIG) or (with_rules and rules != given)


def _by_sid(config: PushConfig) -> dict[str, ServiceConfig]:
    return {service.service_sid: service for service in config.services}


def _edits(sid: str, base: ServiceConfig | None, theirs: ServiceConfig | None) -> Iterator[Edit]:
    if theirs is None:
        yield Edit(sid, "", None, None)
        return
    before, after = _values(base), _values(theirs)
    for path in (NAME, *(item.path for item in FIELDS)):
        if before.get(path) != after.get(path):
            yield Edit(sid, path, before.get(path), after.get(path))


def _values(config: ServiceConfig | None) -> dict[str, Value]:
    return {NAME: config.friendly_name, **config.settings} if config else {}


@dataclass
class _Carrying:
    """Edits being put into a new mapping."""

    reviewed: Reviewed
    proposals: Mapping[str, Mapping[str, Value]]  # of the new mapping, by service and path
    merged: list[ServiceConfig] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def find(self, code: str, sid: str | None, subject: str = "", count: int = 1) -> None:
        self.findings.append(Finding(code, sid, subject, count))

    def service(
        self, sid: str, base: ServiceConfig | None, theirs: ServiceConfig | None, new: ServiceConfig | None
    ) -> None:
        """One service that the new snapshot has: mapped, or left out by the rules (None)."""
        if theirs is None:
            self._unstated(sid, base, new)
        elif new is None and base:  # the rules leave it out since
            if edits := list(_edits(sid, base, theirs)):
                self.find("review-edit-dropped", sid, "", len(edits))
        else:
            self._settings(sid, base, theirs, new)

    def _unstated(self, sid: str, base: ServiceConfig | None, new: ServiceConfig | None) -> None:
        """A service that the reviewed folder does not state: what was taken out of it stays out."""
        if base is None and new:
            self.find("review-service-new", sid)
            self.merged.append(new)
        elif base and new and self._whole_ground_changed(sid, base, new):
            self.find("review-ground-changed", sid, "its whole entry")

    def _settings(
        self, sid: str, base: ServiceConfig | None, theirs: ServiceConfig, new: ServiceConfig | None
    ) -> None:
        edits = {edit.path: edit for edit in _edits(sid, base, theirs)}
        before, now = _values(base), _values(new)
        values, origins = dict(now), dict(new.origins if new else {})
        for path in (NAME, *(item.path for item in FIELDS)):
            edit = edits.get(path)
            has_changed = self._ground_changed(sid, path, before, now)
            if edit is None:
                if path != NAME and before.get(path) != now.get(path):
                    self.find("review-setting-changed", sid, path)
                continue
            origins[path] = f"as reviewed in {printable(self.reviewed.mapped.folder.resolve().name)}"
            if has_changed and path != NAME:
                self.find("review-ground-changed", sid, path)
                origins[path] += f"; now mapped as {_shown(now.get(path))}"
            if edit.after is None:
                values.pop(path, None)
            else:
                values[path] = edit.after
        name = str(values.pop(NAME, ""))
        self.merged.append(ServiceConfig(sid, name, values, origins))

    def _whole_ground_changed(self, sid: str, base: ServiceConfig, new: ServiceConfig) -> bool:
        return any(self._ground_changed(sid, item.path, base.settings, new.settings) for item in FIELDS)

    def _ground_changed(self, sid: str, path: str, before: Mapping[str, Value], now: Mapping[str, Value]) -> bool:
        return self._ground(sid, path, before, old=True) != self._ground(sid, path, now, old=False)

    def _ground(self, sid: str, path: str, stated: Mapping[str, Value], *, old: bool) -> Ground:
        if path in stated:
            return "stated", stated[path]
        proposed = self.proposals.get(sid, {})
        if old:
            proposed = {one.path: one.value for one in self.reviewed.mapped.summary.proposals_by_service.get(sid, ())}
        return ("proposed", proposed[path]) if path in proposed else None


def _shown(value: Value | None) -> str:
    if value is None:
        return "not stated"
    return quoted(value) if isinstance(value, str) else "true" if value else "false"


def carry_over(
    reviewed: Reviewed,
    configs: list[ServiceConfig],
    left_out: Mapping[str, str],
    proposals: tuple[Proposal, ...],
    services: set[str],
) -> CarriedOver:
    """Put the edits of a reviewed folder into a new mapping: `configs`, `left_out` and `proposals` as it is dumped.

    `services` are the SIDs of all that the new snapshot has. An edit is kept even where what it was made on has
    changed since, and then reported; it is dropped, and reported, only with a service that is not there or is left
    out. Function of values.
    """
    proposed: dict[str, dict[str, Value]] = {}
    for proposal in proposals:
        proposed.setdefault(proposal.service_sid, {})[proposal.path] = proposal.value
    carrying = _Carrying(reviewed, proposed)
    base, theirs, new = _by_sid(reviewed.base), _by_sid(reviewed.mapped.config), {c.service_sid: c for c in configs}
    then = {service["service_sid"] for service in reviewed.mapped.summary.services}
    for sid in sorted({**base, **theirs, **new}):
        if sid in services or sid not in then:  # what no snapshot had, a person has stated
            carrying.service(sid, base.get(sid), theirs.get(sid), new.get(sid))
        elif sid in theirs:
            edits = list(_edits(sid, base.get(sid), theirs[sid]))
            carrying.find("review-service-gone", sid, "", max(1, len(edits)))
    if reviewed.rules_edited:
        carrying.find("review-rules-edited", None)
    text = _text(reviewed, configs, carrying.merged, left_out, proposals)
    if lost := comments_of(reviewed.text) - comments_of(reviewed.base_text) - comments_of(text):
        carrying.find("review-comments-dropped", None, "", len(lost))
    return CarriedOver(text, tuple(carrying.findings))


def _text(
    reviewed: Reviewed,
    configs: list[ServiceConfig],
    merged: list[ServiceConfig],
    left_out: Mapping[str, str],
    proposals: tuple[Proposal, ...],
) -> str:
    """The text of the merged configuration. Where an entry is mapped as before, its text stays as a person has
    written it, comments included.
    """
    mapped_text = dump(configs, left_out, proposals)
    wanted = PushConfig(tuple(sorted(merged, key=lambda one: one.service_sid)), reviewed.mapped.config.credentials)
    if mapped_text == reviewed.base_text and _stated(reviewed.mapped.config) == _stated(wanted):
        return reviewed.text
    made = dump(merged, left_out, proposals)
    plain = f"{made}{dump_credentials(wanted.credentials)}"
    parts = [blocks_of(one) for one in (reviewed.base_text, mapped_text, reviewed.text, made)]
    base, new, theirs, result = parts
    if base and new and theirs and result:
        kept = {
            sid: theirs.services[sid]
            for sid in result.services
            if sid in theirs.services and base.services.get(sid) == new.services.get(sid)
        }
        text = joined(
            Blocks(result.head, result.services | kept, theirs.end), lines_left_out(made), theirs.own_head(base)
        )
        if _states(text) == _stated(wanted):
            return text
    return plain


def _states(text: str) -> object:
    from migrate.model.errors import InputError

    try:
        return _stated(parse(text, CONFIG))
    except InputError:
        return None


def _stated(config: PushConfig) -> object:
    services = [(one.service_sid, one.friendly_name, dict(one.settings)) for one in config.services]
    return services, config.credentials
