"""The mapped folder: push-config.yaml for people, bindings/*.parquet for every device, summary.json for the rest."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow.parquet as pq

from migrate.model.digest import canonical_json, digest
from migrate.model.errors import InputError, RefusedError, UsageError
from migrate.model.finding import Finding
from migrate.model.push_config import ServiceConfig, configs_as_json
from migrate.model.push_config_yaml import dump, parse
from migrate.model.schemas import MAPPED_BINDINGS
from migrate.snapshot.files import PARTIAL, make_private_folder, sync_folder, write_whole

FORMAT = 1
CONFIG = "push-config.yaml"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What the mapper found, in numbers; the content of summary.json.

    `services` has an entry for each service: `service_sid`, `friendly_name`, `bindings` (their number),
    `outcomes` and `binding_types` (numbers by name). `snapshot` and `rules` are digests.
    """

    account_sid: str
    as_of: str
    snapshot: str
    rules: str
    services: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]

    @property
    def bindings(self) -> int:
        """The number of bindings, every one of which has one outcome."""
        return sum(service["bindings"] for service in self.services)

    def totals(self, what: str) -> dict[str, int]:
        """`outcomes` or `binding_types`, summed over the services."""
        sums: dict[str, int] = {}
        for service in self.services:
            for name, count in service[what].items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json; `totals` are there for readers of the file."""
        return {
            "format_version": FORMAT,
            "account_sid": self.account_sid,
            "as_of": self.as_of,
            "digests": {"snapshot": self.snapshot, "rules": self.rules},
            "services": list(self.services),
            "findings": [finding.to_json() for finding in self.findings],
            "totals": {
                "bindings": self.bindings,
                "outcomes": self.totals("outcomes"),
                "binding_types": self.totals("binding_types"),
            },
        }


@dataclass(frozen=True)
class Mapped:
    """A mapped folder that was read: its summary, and the push configuration as it stands now."""

    folder: Path
    summary: Summary
    configs: tuple[ServiceConfig, ...]

    @property
    def config_digest(self) -> str:
        """The digest of what the push configuration states, whatever its comments and order."""
        return digest(configs_as_json(self.configs))


class MappedWriter:
    """Writes a mapped folder beside its place; it appears, whole, when `finish` is called."""

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        refuse_unless_free(folder)
        if folder == Path.cwd():
            raise UsageError("The mapped folder cannot be the current one", remedy="Name another with --out")
        self.folder = folder
        self.scratch = folder.with_name(f".{folder.name}{PARTIAL}")
        if self.scratch.exists():
            shutil.rmtree(self.scratch)
        make_private_folder(self.scratch)
        make_private_folder(self.scratch / "bindings")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.scratch.exists():
            shutil.rmtree(self.scratch)

    def bindings(self, service_sid: str) -> pq.ParquetWriter:
        """A Parquet writer for the mapped bindings of one service; the caller closes it."""
        folder = self.scratch / "bindings" / f"service_sid={service_sid}"
        make_private_folder(folder)
        path = folder / "part-00000.parquet"
        path.touch(mode=0o600)
        return pq.ParquetWriter(path, MAPPED_BINDINGS, compression="zstd")

    def finish(self, summary: Summary, configs: list[ServiceConfig]) -> None:
        """Write the summary and the push configuration, and put the folder in place."""
        write_whole(self.scratch / SUMMARY, canonical_json(summary.to_json()))
        write_whole(self.scratch / CONFIG, dump(configs))
        self.scratch.replace(self.folder)  # which may be there, but empty
        sync_folder(self.folder.parent)


def refuse_unless_free(folder: Path) -> None:
    """Raise `RefusedError` if a folder holds anything: a push configuration that was edited is never lost."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(
            f"{folder} is not empty, and a push configuration in it may have been edited",
            kept="It is as it was",
            remedy="Name another folder with --out",
        )


def open_mapped(folder: Path) -> Mapped:
    """Read a mapped folder. Raises `InputError` if it is none, or with the line where push-config.yaml is wrong."""
    try:
        content = json.loads((folder / SUMMARY).read_bytes())
        if content["format_version"] != FORMAT:
            raise InputError(f"{folder} was mapped in another format", remedy="Use the version that made it")
        summary = Summary(
            account_sid=content["account_sid"],
            as_of=content["as_of"],
            snapshot=content["digests"]["snapshot"],
            rules=content["digests"]["rules"],
            services=tuple(content["services"]),
            findings=tuple(Finding.from_json(finding) for finding in content["findings"]),
        )
        if canonical_json(summary.to_json()) != canonical_json(content):
            raise ValueError("it does not add up")
        if not all(isinstance(service["friendly_name"], str) for service in summary.services):
            raise TypeError("a name is no text")
        text = (folder / CONFIG).read_bytes().decode()
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise InputError(
            f"{folder} is not a mapped folder: it has no {name}",
            remedy=f"Make one with: chat-migrate map SNAPSHOT --out {folder}",
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder} is not a folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{folder / CONFIG} is not UTF-8 text") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{folder} is not a mapped folder: its {SUMMARY} cannot be read") from None
    return Mapped(folder, summary, parse(text, str(folder / CONFIG)))
