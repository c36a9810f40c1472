"""Where this program keeps what is of this user and this machine: the locks of accounts."""

from __future__ import annotations

from pathlib import Path


def state_folder() -> Path:
    """The folder, by the custom of the system; it may not be there yet."""
    from click import get_app_dir

    return Path(get_app_dir("chat-migrate"))
