"""The rules of the translation, read from one file that people can read too."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from migrate.model.digest import digest

DEFAULT_RULES = Path(__file__).with_name("default_rules.toml")


@dataclass(frozen=True)
class Rules:
    """The tables of default_rules.toml. An empty target means that there is no equivalent."""

    message_types: Mapping[str, str]
    chat_prefixes: tuple[str, ...]
    conversations_prefix: str
    ignored_message_types: frozenset[str]
    binding_types: Mapping[str, str]
    template_variables: Mapping[str, str]
    lifetime: timedelta
    bindings_per_identity: int

    @property
    def digest(self) -> str:
        """What a plan names the rules by."""
        return digest({name: _plain(value) for name, value in asdict(self).items()})


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.days
    return sorted(value) if isinstance(value, frozenset) else value


@cache
def default_rules() -> Rules:
    """The rules that come with the program."""
    tables = tomllib.loads(DEFAULT_RULES.read_text("utf-8"))
    names, limits = tables["message_type_names"], tables["limits"]
    return Rules(
        message_types=tables["message_types"],
        chat_prefixes=tuple(names["chat_prefixes"]),
        conversations_prefix=names["conversations_prefix"],
        ignored_message_types=frozenset(names["ignored"]),
        binding_types=tables["binding_types"],
        template_variables=tables["template_variables"],
        lifetime=timedelta(days=limits["lifetime_days"]),
        bindings_per_identity=limits["bindings_per_identity"],
    )
