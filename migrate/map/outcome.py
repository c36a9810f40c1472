"""What becomes of a binding: every one has exactly one outcome, and one thing that its device must do."""

from __future__ import annotations

from typing import Literal

# carried: nothing is lost; reduced: a message type has no equivalent; expired: past its lifetime;
# blocked: it needs a decision.
Outcome = Literal["carried", "reduced", "expired", "blocked"]
OUTCOMES: tuple[Outcome, ...] = ("carried", "reduced", "expired", "blocked")

Action = Literal["register", "register-with-new-credential", "registered", "decide", "none"]
ACTIONS: dict[Action, str] = {
    "register": "The device must register again: its app, built on the Conversations SDK, does so when it is opened",
    "register-with-new-credential": "The device must register again, by its app built on the Conversations SDK, and "
    "with an access token whose push_credential_sid is the new credential",
    "registered": "Nothing: it is registered through the Conversations SDK already",
    "decide": "Decide first: what blocks the binding is said above, with the remedy",
    "none": "Nothing: the binding is past its lifetime and its device probably gone; if it is not, "
    "it registers again when its app, built on the Conversations SDK, is opened",
}
