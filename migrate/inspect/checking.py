"""Whether a mapped folder can be loaded, as far as that can be known offline: all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from migrate.inspect.checked import Checked, CheckedCredential
from migrate.load.planning import snapshot_findings
from migrate.load.secrets import secret_findings, secret_forms
from migrate.map.mapped_folder import CONFIG, RULES, open_mapped
from migrate.map.rules_toml import load_rules, own_rules
from migrate.model.credential import Credential
from migrate.model.errors import InputError, reason_of
from migrate.model.finding import Finding
from migrate.model.push_credential import CredentialChange, CredentialConfig, LiveCredential


def check_mapped(folder: Path, now: datetime | None = None) -> Checked:
    """Check a mapped folder: push-config.yaml, rules.toml, secrets by reference, and the snapshot that it rests on.

    `now` is the time by which a certificate has expired; this machine's where it is not given. Nothing is written,
    and nothing is asked for. Nothing is raised for what a person has written: that is among the mistakes.
    """
    now = now or datetime.now(UTC)
    try:
        mapped = open_mapped(folder)
    except (InputError, OSError) as error:
        return Checked(folder, None, (_told(error), *_rules_mistakes(folder, "")))
    known = {one.sid: one for one in mapped.summary.credentials}
    listed = {one["service_sid"] for one in mapped.summary.services}
    notes = [
        f"{one.service_sid} is stated in {CONFIG}, and the snapshot does not have it: is its SID right?"
        for one in mapped.configs
        if one.service_sid not in listed
    ]
    credentials: list[CheckedCredential] = []
    unproven = snapshot_findings(mapped)
    findings = [*mapped.findings(mapped.then), *unproven]
    for config in mapped.config.credentials:
        found = known.get(config.credential_sid or "")
        live = _as_live(found) if found else None
        if config.credential_sid and not found:
            notes.append(
                f"{config.credential_sid} is newer than the snapshot, or not of this account: load looks it up"
            )
        elif live and not live.is_like(config):
            about = f"{config.credential_sid} {config.friendly_name}"
            findings.append(Finding("credential-not-as-named", None, about))
        problem = _problem(config, live, now)
        credentials.append(CheckedCredential(config, problem))
        findings += [] if problem else secret_findings([CredentialChange(config, live)], now)
    return Checked(
        folder,
        mapped,
        tuple(_rules_mistakes(folder, mapped.summary.rules)),
        tuple(notes),
        tuple(credentials),
        tuple(sorted(findings, key=Finding.sort_key)),
        tuple(unproven),
        mapped.waiting(mapped.then),
    )


def _rules_mistakes(folder: Path, digest: str) -> Iterator[str]:
    """What is wrong with rules.toml: it cannot be read, or is not it was mapped by; an empty digest is not known."""
    path = folder / RULES
    try:
        is_as_mapped = own_rules(path).digest == digest
        load_rules(path)
    except (InputError, OSError) as error:
        yield _told(error)
        return
    if digest and not is_as_mapped:
        yield (
            f"{path} was edited after it was mapped by, and edits there change nothing until it is mapped again: "
            "name that file with --rules"
        )


def _told(error: InputError | OSError) -> str:
    return error.what if isinstance(error, InputError) else f"{error.filename}: {reason_of(error)}"


def _as_live(found: Credential) -> LiveCredential:
    """A credential as it stood when the snapshot was taken."""
    return LiveCredential(found.sid, found.friendly_name, found.type, str(found.sandbox), None)


def _problem(config: CredentialConfig, live: LiveCredential | None, now: datetime) -> str:
    """Why the secrets of a credential cannot be used; empty where they can.

    Which of Apple's sides an existing credential is for may not be known: then what fits either is fine.
    """
    is_either = config.type == "apn" and config.sandbox is None and config.credential_sid is not None and live is None
    problem = ""
    for sandbox in (False, True) if is_either else (config.sandbox,):
        try:
            secret_forms([CredentialChange(replace(config, sandbox=sandbox), live)], now)
        except InputError as error:
            problem = problem or error.what
        else:
            return ""
    return problem
