"""What is doubtful about a connection before anything rests on it: addresses, the account, and the clocks."""

from __future__ import annotations

from migrate.twilio_api.addresses import NAMES
from migrate.twilio_api.client import TwilioApi


def doubt_of_addresses(api: TwilioApi) -> str:
    """Which addresses are not Twilio's; empty if all are."""
    named = [
        f"{' and '.join(NAMES[api] for api in apis)} at {address}" for address, apis in api.addresses.foreign.items()
    ]
    return f"this is not Twilio's own address: {', '.join(named)}" if named else ""


def doubt_of_account(api: TwilioApi) -> str:
    """That no answer has shown whose account the API key is; empty if one has."""
    if api.is_account_proven:
        return ""
    return (
        f"no answer of Twilio's says that it is of account {api.account_sid}, and an API key may be another account's"
    )


def doubt_of_clock(api: TwilioApi) -> str:
    """That the source's clock and this machine's differ by five minutes or more, or that it has none."""
    if api.clock is None:
        return "no answer says what time it is; ages are measured by this machine's clock"
    return f"{api.clock}; the ages of bindings are measured by the first" if api.clock.is_said else ""
