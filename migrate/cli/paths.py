"""The types of parameters that are paths, and the guard: all of them are checked before a command does anything.

A parameter that names a file or a folder has one of these types, by which the guard knows what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrate.cli.remotes import remotes_of
from migrate.cli.spelling import same_command
from migrate.model.errors import MigrateError, RefusedError, UsageError
from migrate.storage.places import is_url, url_of

if TYPE_CHECKING:
    from migrate.inspect.kinds import Kind, Recognised

# The options that make a command a fleet's, as its parameters.
NAMES_ACCOUNTS = ("all_accounts", "account_sids", "accounts_file")
_ONLY_READ = ("diff", "show", "check")  # commands that write nothing into a fleet's folder
# Why some things can be at no URL.
_JOURNAL = "it grows before and after each write, and nothing can be appended in a store"
_CASSETTE = "a cassette is recorded and replayed here"
# By these files a snapshot and a mapped folder are known.
_OURS = (("manifest.json", "services.parquet"), ("summary.json", "push-config.yaml"))


class PathType(click.Path):
    """A file or a folder of the kinds that it `takes`, as `migrate.inspect.kinds` knows them.

    Use a type of those below. Messages name what is wanted by those kinds, or as it is `called`. What is recognised
    as of another kind is refused; what is of no kind is left to whoever reads it.
    """

    takes: tuple[Kind, ...] = ()
    called: str = ""
    takes_all = False  # whether nothing is of a wrong kind for it
    fleet: PathType | None = None  # what it is where the command is a fleet's; see `or_fleet`
    writes = False  # whether what is at a URL is written, too
    is_file = False  # whether that is a file, where it is written
    stays_here = ""  # why it can be at no URL

    def __init__(self, *, exists: bool = False, file: bool = True, folder: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file, dir_okay=folder, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check whether it is a file or a folder, as is wanted; of what is recognised, say what it is instead."""
        if self.fleet and is_of_fleet(ctx):
            return self.fleet.convert(value, param, ctx)
        if is_url(value):
            value = self._brought(value, param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if self.fleet and _is_fleet(Path(value)):  # the guard says so, once all options are known
                return Path(value)
            self.refuse_other_kind(Path(value))  # it says more than that it is no file, or no folder
            raise

    def _brought(self, url: str, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Where what is at a URL is worked on."""
        if self.stays_here:
            what = param.opts[0] if isinstance(param, click.Option) else param and (param.name or "").upper()
            raise UsageError(f"{what} takes no URL: {self.stays_here}", remedy="Name a path on this machine")
        remotes = remotes_of(ctx)
        if remotes is None or (ctx and ctx.resilient_parsing):
            return url
        return remotes.open(url, writes=self._writes_in(ctx), is_file=self.is_file)

    def _writes_in(self, ctx: click.Context | None) -> bool:
        return self.writes

    def journal_of(self, path: Path) -> Path | None:
        """The journal that is written for it where no other is named; None where none is."""
        return None

    def refuse_other_kind(self, path: Path) -> None:
        """Raise an error that names the kind, and the command for it, for what is recognised as of another kind."""
        from migrate.inspect.kinds import recognise

        if self.takes_all or (found := recognise(path)) is None or found.kind in self.takes:
            return
        error = self._other_kind(found)
        if found.kind == "fleet" and self.fleet:
            error.remedy = f"Name its accounts, with the same command: {same_command('--accounts')}"
        raise error

    @property
    def _wanted(self) -> str:
        from migrate.inspect.kinds import NAMES

        return self.called or " or ".join(NAMES[kind] for kind in self.takes)

    def _other_kind(self, found: Recognised) -> MigrateError:
        return UsageError(f"{found.path} is {found.name}, not {self._wanted}", remedy=found.use)


class InFile(PathType):
    """A file to read, or also a folder with `or_folder`; `journal` is the ending of its journal."""

    def __init__(
        self, *takes: Kind, called: str = "", exists: bool = False, or_folder: bool = False, journal: str = ""
    ) -> None:
        super().__init__(exists=exists, folder=or_folder)
        self.stays_here = _JOURNAL if "journal" in takes else _CASSETTE if "cassette" in takes else ""
        self.takes = takes
        self.called = called
        self._journal = journal

    def journal_of(self, path: Path) -> Path | None:
        """The file beside it with that ending."""
        return path.with_suffix(self._journal) if self._journal else None


class InFolder(PathType):
    """A folder to read, of whatever kind; one that `stays_here` for a reason can be at no URL."""

    takes_all = True

    def __init__(self, *, exists: bool = False, stays_here: str = "") -> None:
        super().__init__(exists=exists, file=False)
        self.stays_here = stays_here


class InAny(InFile):
    """A file or a folder that is there, of whatever kind."""

    takes_all = True

    def __init__(self) -> None:
        super().__init__(exists=True, or_folder=True)


class InList(InFile):
    """A list to read, such as one of bindings: by its columns whoever reads it knows it from all else."""

    takes_all = True

    def __init__(self) -> None:
        super().__init__(exists=True)


class InMapped(InFolder):
    """A mapped folder to read."""

    takes_all = False
    takes = ("mapped",)


class InSnapshot(InFolder):
    """A snapshot to read."""

    takes_all = False
    takes = ("snapshot",)

    def journal_of(self, path: Path) -> Path | None:
        """The journal of its retirement, beside it."""
        from migrate.retire.retirement import JOURNAL

        place = path.resolve()
        return place.parent / (place.name + JOURNAL)


class InEither(InFile):
    """A snapshot, a mapped folder or a plan to read."""

    def __init__(self) -> None:
        super().__init__("snapshot", "mapped", "plan", or_folder=True)

    def journal_of(self, path: Path) -> Path | None:
        """The journal of a plan, or of a snapshot's retirement, beside it."""
        from migrate.model.plan import JOURNAL

        return InSnapshot().journal_of(path) if path.is_dir() else path.with_suffix(JOURNAL)


class InFleet(InFolder):
    """A fleet's folder: to read, and for most commands that are given it as their argument to write into."""

    takes_all = False
    takes = ("fleet",)

    def _writes_in(self, ctx: click.Context | None) -> bool:
        return (
            ctx is not None
            and ctx.info_name not in _ONLY_READ
            and getattr(ctx.command.params[0].type, "fleet", None) is self
        )


class _Out(PathType):
    """Something to write: what is there and of another kind is neither overwritten nor added to."""

    writes = True

    def _other_kind(self, found: Recognised) -> MigrateError:
        wanted = f", not {self._wanted}" if self._wanted else ""
        return RefusedError(
            f"{found.path} is {found.name}{wanted}: nothing is written there",
            kept="It is as it was",
            remedy="Name another place, with the same command",
        )


class OutFile(_Out):
    """A file to write: `apart` from the folders that the command makes, or the `journal`.

    One that `stays` is a report or a list that somebody may have read or signed: it is replaced by --overwrite alone.
    """

    def __init__(
        self,
        *takes: Kind,
        apart: bool = False,
        journal: bool = False,
        stays: bool = False,
        stays_here: str = "",
    ) -> None:
        super().__init__(folder=False)
        self.is_file = True
        self.stays_here = _JOURNAL if journal else _CASSETTE if "cassette" in takes else stays_here
        self.takes = takes or (("journal",) if journal else ())
        self.apart = apart
        self.is_journal = journal
        self.stays = stays


class OutFolder(_Out):
    """A folder to write, with these files in it. One that `grows` gets files beside those that are there."""

    def __init__(self, kind: Kind, *files: str, grows: bool = False) -> None:
        super().__init__(file=False)
        self.takes = (kind,)
        self.files = files
        self.grows = grows


Place = TypeVar("Place", bound=PathType)


def or_fleet(place: Place) -> Place:
    """The same type, for a parameter that names a fleet's folder where the command is a fleet's."""
    place.fleet = OutFolder("fleet", grows=True) if isinstance(place, _Out) else InFleet()
    return place


def is_of_fleet(context: click.Context | None) -> bool:
    """Whether a command is a fleet's: it names the accounts. Those options are read before all others."""
    given = [] if context is None else [context.params.get(name) for name in NAMES_ACCOUNTS]
    return any(value for value in given if isinstance(value, bool | tuple | Path))  # others are not read yet


def _fleet_of(param: click.Parameter) -> PathType | None:
    return param.type.fleet if isinstance(param.type, PathType) else None


def _is_fleet(path: Path) -> bool:
    from migrate.inspect.kinds import recognise

    return (found := recognise(path)) is not None and found.kind == "fleet"


def guard_paths(context: click.Context) -> None:
    """Check all files and folders that a command is given, before it does anything.

    Raises `UsageError` for what is no usable path or named twice, and `RefusedError` for a place where something
    would be lost: within a snapshot or a mapped folder, over a file that is read, over what is no file, over a report
    that is there (unless the command has --overwrite). What is recognised as of another kind than is wanted is an
    `UsageError`, or a `RefusedError` where it would be written to.
    """
    given = list(_given(context))
    folders = [(path, kind) for path, kind, _ in given if isinstance(kind, OutFolder)]
    files = [path for path, kind, _ in given if isinstance(kind, OutFile)]
    files += [path / name for path, kind in folders for name in kind.files]
    read = [path for path, kind, _ in given if isinstance(kind, InFile)]
    if not all(path.name for path in files) or not all(_is_text(path) for path, _, _ in given):
        raise UsageError("A path is empty, or not valid text in this terminal's encoding")
    try:
        if not any(isinstance(kind, OutFile) and kind.is_journal for _, kind, _ in given):
            read += [journal for path, kind, _ in given if (journal := kind.journal_of(path))]
        places = [path.resolve() for path in files]
        within = {folder.resolve() for folder, _ in folders}
        taken = {path.resolve() for path in read} | within
        parents = {parent for place in (*places, *within) for parent in place.parents}
        parents |= {folder.resolve() for folder, kind in folders if kind.grows}
    except (OSError, RuntimeError):
        raise UsageError("A path leads in a circle") from None
    _refuse_remote_journal(context, [path for path, kind, _ in given if not isinstance(kind, _Out)])
    if len(set(places)) < len(places) or taken & set(places):
        raise UsageError("One file is named twice")
    for path, kind, option in given:
        if isinstance(kind, OutFile) and kind.apart and within & set(path.resolve().parents):
            raise UsageError(f"{option} is within the folder that is made", remedy="Name a file beside that folder")
    written = [one for one in given if isinstance(one[1], _Out)]
    _refuse_other_kinds(written)
    _refuse_what_is_there(sorted(parents), places)
    _refuse_other_kinds(one for one in given if one not in written)
    if not context.params.get("overwrite"):
        reports = [path for path, kind, _ in given if isinstance(kind, OutFile) and kind.stays]
        _refuse_reports([*reports, *(path / name for path, kind in folders for name in kind.files)])


def _refuse_remote_journal(context: click.Context, read: Sequence[Path]) -> None:
    """Raise `RefusedError` where a command would keep a journal, or the plan that it is of, in a working copy."""
    params = context.params
    written = [params[name] for name in ("journal", "plan_out") if params.get(name)]
    if (params.get("mapped") and not params.get("plan_out")) or not written:  # then they are beside what is read
        written += read[:1]
    if not params.get("apply") or not any(map(url_of, written)):
        return
    if is_of_fleet(context):
        remedy = "Copy the fleet's folder to this machine, and apply from there"
    else:
        option = "--plan-out FILE" if params.get("mapped") else "--journal FILE"
        remedy = f"Name a place on this machine with {option}"
    raise RefusedError(f"A journal stays on this machine: {_JOURNAL}", kept="Nothing was done", remedy=remedy)


def _refuse_reports(paths: Sequence[Path]) -> None:
    if there := [str(path) for path in paths if path.exists()]:
        raise RefusedError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and not overwritten",
            kept="Nothing was done",
            remedy="Name another place, or replace it with --overwrite",
        )


def _refuse_other_kinds(given: Iterable[tuple[Path, PathType, str]]) -> None:
    for path, kind, _ in given:
        kind.refuse_other_kind(path)


def _refuse_what_is_there(parents: Sequence[Path], places: Sequence[Path]) -> None:
    for parent in parents:
        if any(all((parent / name).exists() for name in names) for names in _OURS):
            raise RefusedError(
                f"{parent} is a snapshot or a mapped folder: nothing else is written into it",
                remedy="Name a place beside that folder, with the same command",
            )
    for place in places:
        if place.exists() and not place.is_file():
            raise RefusedError(f"{place} is there, and is no file", remedy="Name another file, with the same command")


def _given(context: click.Context) -> Iterator[tuple[Path, PathType, str]]:
    """Each path that was given or is the default, with its type and the option's name."""
    for param in context.command.params:
        value: Any = context.params.get(param.name or "")
        if isinstance(param.type, PathType):
            kind = (is_of_fleet(context) and param.type.fleet) or param.type
            for path in value if isinstance(value, tuple) else (value,):
                if path is not None:
                    yield path, kind, param.opts[0]


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
