"""What every command that measures ages says of the clocks that it measures them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate.screen import Screen

if TYPE_CHECKING:
    from migrate.twilio_api.api import TwilioApi


def say_clock(api: TwilioApi, screen: Screen) -> None:
    """Say it where the source's clock and this machine's differ by five minutes or more."""
    if api.clock and api.clock.is_said:
        screen.say(f"Warning: {api.clock}; the ages of bindings are measured by the first")
