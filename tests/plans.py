"""Plans to look at: an empty one, one of every kind of thing, one with many services."""

from __future__ import annotations

from migrate.load.limits import OF_A_PLAN, Ground, violations
from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.proposal import Proposal
from migrate.model.push_credential import CredentialChange, CredentialConfig, LiveCredential
from tests.conftest import service_sid

NAMES = (
    '<script>alert("push")</script>',
    "\"quotes\" and 'quotes'",
    "Taxi 🚕 👩‍👩‍👧",
    "תמיכה בעברית",
    "two\nlines\tand | pipes",
    "\u202eevil\x1b[31m",
    "</style></script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}${USER}",
    "",
)
EMPTY = Plan("AC" + "0" * 32, "https://conversations.example.test", "", "s", "r", "p", {}, {}, (), (), (), ())


def refusals(plan: Plan) -> list[tuple[str, str]]:
    """The limits for which any apply of a plan is refused: each one's name, and what is wrong."""
    return list(violations(Ground.of_plan(plan), OF_A_PLAN))


def change(number: int, name: str, template: str = "${PARTICIPANT}: ${MESSAGE}") -> Change:
    """A service whose new-message push comes on, with a text of its own."""
    fields = ("new_message.enabled", "new_message.template")
    existing: dict[str, bool | str] = {"new_message.enabled": False}
    return Change(service_sid(number), name, existing, dict(zip(fields, (True, template), strict=True)), fields)


def plan_of(
    changes: tuple[Change, ...],
    *findings: Finding,
    credentials: tuple[CredentialChange, ...] = (),
    proposals: tuple[Proposal, ...] = (),
) -> Plan:
    """A plan of these changes; two more services are unchanged, left out, and not there."""
    others = {service_sid(9001): "Unchanged", service_sid(9002): "Left out", service_sid(9003): "Missing"}
    return Plan(
        account_sid="AC" + "0" * 32,
        target="https://conversations.example.test",
        as_of="2026-06-15T08:00:00+00:00",
        snapshot="sha256:" + "1" * 64,
        rules="sha256:" + "2" * 64,
        push_config="sha256:" + "3" * 64,
        bindings={"blocked": 9, "carried": 1226, "expired": 0, "reduced": 73},
        services={change.service_sid: change.friendly_name for change in changes} | others,
        changes=changes,
        unchanged=(service_sid(9001),),
        missing=(service_sid(9003),),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
        credentials=credentials,
        proposals=proposals,
        live={sid: change.existing for change in changes for sid in [change.service_sid] if proposals},
    )


def hostile_plan(name: str, template: str, subject: str) -> Plan:
    """A plan in which others' words stand wherever they can."""
    secret = {"secret": "env:FCM"}
    sid = "CR" + "1" * 32
    path = "added_to_conversation.template"
    return plan_of(
        (change(1, name, template),),
        Finding("binding-gcm", service_sid(1), subject, 4000, ("BS" + "1" * 32,)),
        Finding("rule-unused", None, subject),
        proposals=(Proposal(service_sid(1), path, template, subject, 4000, {name: 4000}),),
        credentials=(
            CredentialChange(CredentialConfig(name, "fcm", secret)),
            CredentialChange(
                CredentialConfig(name, "fcm", secret, credential_sid=sid),
                LiveCredential(sid, name, "fcm", None, "2026-01-01T00:00:00Z"),
            ),
            CredentialChange(
                CredentialConfig("Apple", "apn", {"certificate": "file:a", "private_key": "file:b"}, True, sid),
                LiveCredential(sid, "Apple", "apn", None, None),
            ),
            CredentialChange(
                CredentialConfig("Apple 2", "apn", {"certificate": "file:a", "private_key": "file:b"}, False, sid),
                LiveCredential(sid, "Apple 2", "apn", "True", None),
            ),
        ),
    )


def many(number: int, name: str = "Service", template: str = "${PARTICIPANT}: ${MESSAGE}", codes: int = 3) -> Plan:
    """A plan that changes so many services, and has findings of so many codes for each of them."""
    found = [
        Finding(code, service_sid(place), "x", place) for place in range(number) for code in [*CATALOGUE][:codes]
    ]
    return plan_of(tuple(change(place, name, template) for place in range(number)), *found)
