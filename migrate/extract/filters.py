"""What a list of bindings was narrowed to, and the proof that what comes is that and nothing else.

A server that ignores a filter answers with everything, and that would stand under a manifest that says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from migrate.model.errors import RefusedError
from migrate.model.masking import mask
from migrate.model.text import alike, printable
from migrate.twilio_api.addresses import FILTERS

if TYPE_CHECKING:
    from migrate.extract.columns import PageRows

_COLUMNS = dict(zip(FILTERS, ("binding_type", "identity"), strict=True))
_REMEDIES = {
    "BindingType": "Read each service as one list: with --no-shard, without --binding-type, into another folder",
    "Identity": "Extract without --identity and --identity-file, into another folder",
}


class OtherThanAskedError(RefusedError):
    """A list that was narrowed by a filter, of this name in the query, brought what the filter excludes."""

    is_final = True

    def __init__(self, what: str, name: str) -> None:
        super().__init__(what, remedy=_REMEDIES[name])
        self.name = name


@dataclass(frozen=True)
class AskedFilters:
    """The values of each filter of one list; a filter that was not set is left out."""

    values: dict[str, frozenset[str]]

    @classmethod
    def of(cls, params: tuple[tuple[str, str], ...]) -> Self:
        """What the query of a list asks for."""
        found = {name: frozenset(value for key, value in params if key == name) for name in FILTERS}
        return cls({name: values for name, values in found.items() if values})

    def refuse_others(self, rows: PageRows) -> None:
        """Raise `OtherThanAskedError` where a page holds a record that the filters exclude.

        A record that does not say is no evidence. How Twilio compares identities is not documented, so one that
        differs in case, in spaces around it or in its Unicode form only is what was asked for.
        """
        for name, values in self.values.items():
            for value in self._others(_COLUMNS[name], values, rows):
                shown = mask(value) if name == "Identity" else printable(value)
                raise OtherThanAskedError(
                    f"The list was narrowed by {name}, and holds a binding of {shown}, which was not asked for: the "
                    "server ignores the filter",
                    name,
                )

    def _others(self, column: str, values: frozenset[str], rows: PageRows) -> list[str]:
        """The values in a page that were not asked for; nearly always none."""
        found = [*rows.table.column(column).unique().to_pylist()]
        found += [_said(record, column) for record in rows.rejected]
        strange = [value for value in found if value is not None and value not in values]
        wanted = {alike(value) for value in values} if strange else set()
        return [value for value in strange if alike(value) not in wanted]


def _said(rejected: dict[str, Any], column: str) -> str | None:
    """What a record that did not fit says all the same."""
    record = rejected["record"]
    value = record.get(column) if isinstance(record, dict) else None
    return value if isinstance(value, str) else None
