"""What is said before anything rests on it: addresses, the account, and the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate.cli.console import Screen

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi


def warn_of_addresses(api: TwilioApi, screen: Screen) -> None:
    """Name the addresses that are not Twilio's, in one line, before something is written there."""
    from migrate.twilio_api.addresses import NAMES

    named = [
        f"{' and '.join(NAMES[api] for api in apis)} at {address}" for address, apis in api.addresses.foreign.items()
    ]
    if named:
        screen.say(f"Warning: this is not Twilio's own address: {', '.join(named)}")


def warn_of_account(api: TwilioApi, screen: Screen) -> None:
    """Say so where no answer has shown whose account the API key is."""
    if not api.is_account_proven:
        screen.say(
            f"Warning: no answer of Twilio's says that it is of account {api.account_sid}, and an API key may be "
            "another account's"
        )


def warn_of_clock(api: TwilioApi, screen: Screen) -> None:
    """Say so where the source's clock and this machine's differ by five minutes or more, and where it has none."""
    if api.clock is None:
        screen.say("Warning: no answer says what time it is; ages are measured by this machine's clock")
    elif api.clock.is_said:
        screen.say(f"Warning: {api.clock}; the ages of bindings are measured by the first")
