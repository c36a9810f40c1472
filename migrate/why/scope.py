"""Whom and what is asked about: whose account it is, which credentials matter, and that there is such a user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migrate.map.mapped_folder import Mapped
from migrate.model.errors import InputError, RefusedError
from migrate.model.masking import mask
from migrate.model.text import listed
from migrate.twilio_api.login import is_one_account
from migrate.why.facts import Binding, Planned


def refuse_other_account(mapped: Mapped, account_sid: str, whose: str) -> None:
    """Raise `RefusedError` for a folder that is of another account; `whose` names the other side."""
    if not is_one_account(account_sid, mapped.summary.account_sid):
        raise RefusedError(
            f"{mapped.folder} was made from account {mapped.summary.account_sid}, and {whose} {account_sid}",
            remedy="Name the mapped folder of that account, or leave --mapped out",
        )


def named_credentials(bindings: Iterable[Binding], plan: Planned | None) -> list[str]:
    """The credentials that bindings have, and those that a plan has in their place; each once."""
    targets = [sid for some in (plan.targets.values() if plan else ()) for sid in some]
    return sorted({sid for sid in (*(one.credential_sid for one in bindings), *targets) if sid})


def no_such_user(
    who: str, identity: str, service_sid: str, elsewhere: Sequence[str], doubts: Iterable[str] = ()
) -> InputError:
    """That a service has no binding of an identity, in the spellings that were looked for; and where there is one."""
    hints = [*doubts]
    if elsewhere:
        hints.insert(0, f"There is one in {listed(elsewhere)}: name that with --service")
    hints.append(
        "A user who never registered for pushes has none: compare the identity with the one that the token server "
        "gives the app"
    )
    return InputError(
        f"{who} no binding of {mask(identity)} in {service_sid}",
        remedy=". ".join(f"{hint[0].upper()}{hint[1:]}" for hint in hints),
    )
