"""A snapshot to look at: volumes, ages against the lifetime of a binding, message types, credentials, oddities."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow as pa

from migrate.map.rules import Rules
from migrate.map.rules_toml import default_rules
from migrate.model.errors import InputError
from migrate.model.schemas import BINDINGS, TIMESTAMP
from migrate.model.text import printable
from migrate.report.wording import count, counts, name, when
from migrate.review.html_repr import HtmlRepr
from migrate.review.oddities import oddities
from migrate.review.rows import NONE, ReviewRows, frame
from migrate.snapshot.manifest import Filters
from migrate.snapshot.reader import Snapshot, read_snapshot

# Of some bindings: how many, of how many identities, how many are past their lifetime, and when one was last seen.
# An identity is one of its service's.
_NUMBERS = """
    WITH counted AS (
        SELECT {keys}, service_sid AS of_service, count(*) AS n, count(DISTINCT identity) AS who,
            count(*) FILTER (is_expired) AS old, max(last_seen) AS newest
        FROM rows GROUP BY ALL
    )
    SELECT {names}, sum(n)::BIGINT AS bindings, sum(who)::BIGINT AS identities, sum(old)::BIGINT AS expired,
        max(newest) AS last_seen
    FROM counted GROUP BY ALL ORDER BY bindings DESC, {names}
"""
_AGES = f"""
    WITH aged AS (
        SELECT coalesce(binding_type, '{NONE}') AS binding_type, $as_of - epoch_us(last_seen) AS age FROM rows
    )
    SELECT binding_type, count(*) AS bindings,
        CASE WHEN age IS NOT NULL
            THEN least(greatest((age::HUGEINT * $bins - 1) // $lifetime, 0), 2 * $bins)::BIGINT
        END AS bin
    FROM aged GROUP BY ALL ORDER BY binding_type, bin
"""  # noqa: S608  # a name of ours
_FACTS = f"""
    SELECT coalesce(binding_type, '{NONE}') AS binding_type, count(*) AS bindings,
        count(*) FILTER (is_expired) AS expired
    FROM rows GROUP BY ALL ORDER BY ALL
"""  # noqa: S608  # a name of ours
_COUNTS = ["bindings", "identities", "expired"]
_EPOCH, _MICROSECOND, _DAY = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1), timedelta(days=1)


class SnapshotReview(HtmlRepr):
    """A finished snapshot. A method reads what its question needs, and gives a new DataFrame.

    In all counts `bindings` are rows, `identities` distinct ones within their service, `expired` those bindings that
    had not been seen for longer than they live (by the rules, one year) when the snapshot was made, and `last_seen`
    is the latest `date_updated`, or `date_created`, of any, in UTC.
    """

    def __init__(self, snapshot: Snapshot, rules: Rules, *, show_identities: bool = False) -> None:
        self._snapshot = snapshot
        self.rules = rules
        parts = [snapshot.folder / file.path for file in snapshot.manifest.files if file.path.startswith("bindings/")]
        as_of, born_after = _microseconds(snapshot.as_of), _microseconds(snapshot.as_of - rules.lifetime)
        derived = {
            "last_seen": "coalesce(date_updated, date_created)",
            "age_days": f"({as_of} - epoch_us(last_seen)) / {_DAY // _MICROSECOND}",
            "is_expired": f"coalesce(epoch_us(last_seen) < {born_after}, false)",
        }
        self._rows = ReviewRows(parts, BINDINGS, derived, show_identities=show_identities)

    @classmethod
    def open(cls, folder: Path, rules: Rules | None = None, *, show_identities: bool = False) -> Self:
        """Open and verify a snapshot; see `migrate.review.open_snapshot`."""
        return cls(read_snapshot(folder), rules or default_rules(), show_identities=show_identities)

    def __len__(self) -> int:
        return self._snapshot.manifest.rows

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._snapshot.folder

    @property
    def as_of(self) -> datetime:
        """The source's time when the extract began, in UTC: ages are measured by it."""
        return self._snapshot.as_of

    @property
    def bindings(self) -> pd.DataFrame:
        """All bindings, a row each: the snapshot's columns, and `service_sid`, `last_seen`, `age_days`, `is_expired`.

        `message_types` is a text: each name once, in alphabetical order, with commas between; empty where there is
        none, and missing where Twilio sent no list. For a large snapshot, ask for `columns` instead.
        """
        return self._rows.columns()

    def columns(self, *names: str) -> pd.DataFrame:
        """Some columns of `bindings`; no others are read. Raises `InputError` for one that there is not."""
        return self._rows.columns(*names)

    @cached_property
    def services(self) -> pd.DataFrame:
        """The services, a row each: `service_sid`, `service` (its name), `created`, `updated` (UTC), `bindings`.

        `notifications` is what Chat pushes, `conversations_notifications` what was set there; both as JSON, missing
        where unknown.
        """
        kinds = {"service_sid": pa.string(), "service": pa.string(), "created": TIMESTAMP, "updated": TIMESTAMP}
        kinds |= {"bindings": pa.int64(), "notifications": pa.string(), "conversations_notifications": pa.string()}
        have = self._snapshot.manifest.rows_by_service
        return frame(
            kinds,
            [
                [
                    *(row["sid"], name(row["friendly_name"] or ""), row["date_created"], row["date_updated"]),
                    *(have.get(row["sid"], 0), row["notifications"], row["conversations_notifications"]),
                ]
                for row in self._snapshot.services()
            ],
        )

    @cached_property
    def credentials(self) -> pd.DataFrame:
        """The account's credentials, a row each: `credential_sid`, `name`, `type`, `sandbox`, `created`, `updated`.

        `sandbox` is Apple's: the text `True` or `False`, or missing. Nothing shows which secret one holds.
        """
        kinds = {"credential_sid": pa.string(), "name": pa.string(), "type": pa.string(), "sandbox": pa.string()}
        return frame(
            {**kinds, "created": TIMESTAMP, "updated": TIMESTAMP},
            [
                [
                    *(row["sid"], name(row["friendly_name"] or ""), row["type"], row["sandbox"]),
                    *(row["date_created"], row["date_updated"]),
                ]
                for row in self._snapshot.credentials()
            ],
        )

    def by_service(self) -> pd.DataFrame:
        """How many there are by service, the largest first: `service_sid`, `service`, and the counts."""
        found = self._numbers({"service_sid": "service_sid"})
        named = self.services[["service_sid", "service"]].merge(found, how="left", on="service_sid")
        named[_COUNTS] = named[_COUNTS].fillna(0).astype("int64")
        return named.sort_values(["bindings", "service_sid"], ascending=[False, True], ignore_index=True)

    def by_platform(self) -> pd.DataFrame:
        """How many there are by `binding_type`, the most frequent first; `(none)` names no type."""
        return self._numbers({"binding_type": f"coalesce(binding_type, '{NONE}')"})

    def by_service_and_platform(self) -> pd.DataFrame:
        """How many there are by service and binding type: `service_sid`, `binding_type`, and the counts."""
        return self._numbers({"service_sid": "service_sid", "binding_type": f"coalesce(binding_type, '{NONE}')"})

    def by_message_types(self) -> pd.DataFrame:
        """How many there are by combination of `message_types`, the most frequent first.

        A combination is a text as in `bindings`, but for `(no list)` where Twilio sent none, and `(empty)`.
        """
        named = (
            "CASE WHEN message_types IS NULL THEN '(no list)' ELSE coalesce(nullif(message_types, ''), '(empty)') END"
        )
        found = self._numbers({"message_types": named})
        return found.assign(message_types=found["message_types"].map(printable))

    def by_credential(self) -> pd.DataFrame:
        """How many there are by credential and `binding_type`, the most used first; then the unused, with no type.

        `in_account` says whether the account has the credential; if not, or where a binding names none, `name`,
        `type`, `sandbox` and `updated` are missing, and so is then `credential_sid`.
        """
        found = self._numbers(
            {"credential_sid": "credential_sid", "binding_type": f"coalesce(binding_type, '{NONE}')"}
        )
        account = self.credentials.drop(columns="created")
        joined = found.merge(account, how="outer", on="credential_sid")
        joined[_COUNTS] = joined[_COUNTS].fillna(0).astype("int64")
        joined["in_account"] = joined["credential_sid"].isin(account["credential_sid"])
        joined = joined.sort_values(["bindings", "credential_sid"], ascending=[False, True], ignore_index=True)
        return joined[[*account.columns, "in_account", "binding_type", *_COUNTS, "last_seen"]]

    def by_age(self, bins: int = 12) -> pd.DataFrame:
        """How many there are by age, a lifetime being cut into so many `bins`, and by `binding_type`.

        A row is older than `from_days`, and not older than `to_days`: days since a binding was last seen, when the
        snapshot was made. No bin is both live and `expired`. The last has all beyond two lifetimes, and no end; where
        a binding has no date, both are missing. Raises `InputError` unless there are 1 to 1,000 bins.
        """
        if not 1 <= bins <= 1000:
            raise InputError(f"A lifetime is cut into 1 to 1,000 bins, not {bins:,}")
        lifetime = self.rules.lifetime
        values = {"bins": bins, "as_of": _microseconds(self.as_of), "lifetime": lifetime // _MICROSECOND}
        found = self._rows.counts(_AGES, **values)
        width = lifetime / _DAY / bins
        number = found.pop("bin").astype("Float64")
        start, end = number * width, ((number + 1) * width).where(number < 2 * bins)
        expired = (number >= bins).fillna(False).astype(bool)
        return found.assign(from_days=start, to_days=end, expired=expired)[
            ["binding_type", "from_days", "to_days", "expired", "bindings"]
        ]

    def oddities(self) -> pd.DataFrame:
        """What is unusual: `oddity`, how many `bindings` it concerns (0: none), and what it means."""
        return oddities(self._rows, self._snapshot.manifest, self.rules)

    def _numbers(self, keys: Mapping[str, str]) -> pd.DataFrame:
        """The counts by some keys, which are SQL by name."""
        named = ", ".join(f"{what} AS {name}" for name, what in keys.items())
        return self._rows.counts(_NUMBERS.format(keys=named, names=", ".join(keys)))

    def _title(self) -> str:
        return f"Snapshot: {count(len(self), 'binding')} of {count(len(self.services), 'service')}"

    def _facts(self) -> dict[str, str]:
        manifest = self._snapshot.manifest
        found = self._rows.query(_FACTS).to_pylist()
        numbers = {row["binding_type"]: row["bindings"] for row in found}
        expired = sum(row["expired"] for row in found)
        facts = {
            "As of": f"{when(manifest.as_of)}, from {manifest.source.title()}",
            "Account": manifest.account_sid,
            "Types": counts(numbers),
            "Expired": f"{count(expired, 'binding')} not seen for more than {self.rules.lifetime.days} days",
            "Removed": count(manifest.duplicates_removed, "duplicate"),
            "Rejected": count(manifest.rejected, "record"),
        }
        if manifest.source_reason:
            facts["Why"] = manifest.source_reason
        if manifest.filters != Filters():
            facts["Only"] = "a part of the account: the extract was narrowed"
        return facts

    def _questions(self) -> tuple[str, ...]:
        return ("by_service", "by_platform", "by_age", "by_message_types", "by_credential", "oddities")


def _microseconds(time: datetime) -> int:
    """A time as Parquet has it: microseconds since 1970 in UTC."""
    return (time - _EPOCH) // _MICROSECOND
