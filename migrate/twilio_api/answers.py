"""What an answer's status and headers mean, and what helps the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.model.push_credential import SECRET_FIELDS
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.concealment import Sent
from migrate.twilio_api.login import Login
from migrate.twilio_api.pages import NotAPageError, decode

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_REMEDIES: Mapping[int, str] = {
    400: "Check the options of this command: Twilio does not take one of the values in that address",
    401: "Check {named}{credential}: the secret may have been rotated, be another account's, or "
    "belong to another region than TWILIO_REGION and TWILIO_EDGE name",
    403: "{credential} lacks the permission (Chat needs a standard API key or the auth token), or Chat is "
    "switched off: an extract can read through Conversations instead",
    404: "Check the SID in that address, and that it belongs to {account}",
    407: "Check the user and the password in HTTPS_PROXY or HTTP_PROXY",
    410: "Twilio has switched this off; an extract with --source conversations reads the same bindings",
}
_LEAST_CODE = 10_000  # of Twilio's own; others answer with the status once more
# What proxies, filters and sign-in pages answer in Twilio's place, too.
_OF_OTHERS = (301, 302, 303, 307, 308, 403, 404, 407, 410)
_SOMEBODY_ELSE = "A proxy, a filter or a sign-in page on the way may have answered in Twilio's place"
_REFUSED = "Twilio has refused the certificate, private key or secret of this credential"
_CHECK = "Check that it is the one of this app and not revoked, and apply the same plan again"


def raise_for_status(answer: Any, url: str, login: Login, form: Mapping[str, str] | None = None) -> None:
    """Raise unless the status is 200, 201 or 204: `TransientTwilioError` where it may pass, else `TwilioError`.

    Of what a server says only plain words are shown, and none that it was sent; see `Sent`. Where a `form` has the
    secret of a credential, nothing is shown but Twilio's code.
    """
    status, form = answer.status_code, form or {}
    if status in (200, 201, 204):
        return
    try:
        body = decode(answer.body)
    except NotAPageError:
        body = None
    said = body if isinstance(body, dict) else {}
    number = said["code"] if isinstance(said.get("code"), int) else None
    sent, is_secret = Sent(url, login.secrets, form.values()), bool(SECRET_FIELDS & set(form))
    words = sent.conceal(said["message"]) if isinstance(said.get("message"), str) and not is_secret else ""
    code, meaning = sent.code(number)
    what = f"{public_url(url)} answered {status}{code}{f': {words or meaning}' if words or meaning else ''}"
    if status in _TRANSIENT:
        raise TransientTwilioError(what, status=status, retry_after=_seconds(answer.headers.get("retry-after")))
    is_twilios = _is_twilios(body, status)
    if is_secret and status == 400:
        raise TwilioError(f"{_REFUSED}: {what}", status=status, code=number, is_twilios=is_twilios, remedy=_CHECK)
    remedy = _REMEDIES.get(status, "").format(
        credential=login.shown,
        named="" if login.origin else "TWILIO_ACCOUNT_SID and ",
        account=f"account {login.account_sid}" if login.origin else "the account in TWILIO_ACCOUNT_SID",
    )
    if not is_twilios and status in _OF_OTHERS:
        what, remedy = f"{what}, and not in the form of Twilio's errors", f"{_SOMEBODY_ELSE}. {remedy}".strip(" .")
    raise TwilioError(what, status=status, code=number, is_twilios=is_twilios, remedy=remedy)


def _is_twilios(body: Any, status: int) -> bool:
    """Whether an error's body has the form of Twilio's: code, message, and the status of the answer.

    Gateways and proxies answer with a message too, and some with a status, but not with all three (FACTS.md, "REST
    behaviour": the code can be missing on a 500, which is no matter here).
    """
    return (
        isinstance(body, dict)
        and isinstance(body.get("message"), str)
        and type(body.get("code")) is int
        and body["code"] >= _LEAST_CODE
        and body.get("status") == status
    )


def count_of(header: str | None) -> int | None:
    """A header that is a count; None for anything else."""
    return int(header) if header and len(header) < 10 and header.isascii() and header.isdigit() else None


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
