"""One place in an object store, through fsspec: list, get, put and remove, and one line for whatever fails.

A put is whole or absent, and seen by every later list and get: Amazon S3, Google Cloud Storage and Azure Blob Storage
promise both. Nothing else is asked of a store: no rename, no append, no conditional write.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from migrate.model.errors import InputError, MigrateError, RefusedError, UsageError, reason_of
from migrate.storage.places import root
from migrate.storage.private import IS_POSIX, make_private_folder

T = TypeVar("T")
# What each kind of store comes with; others that fsspec knows work if they are installed.
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "az": "azure", "abfss": "azure"}
_TRIES = 4  # of what the caller waits for
_CONNECT, _READ = 10, 60  # seconds
# A store has so many seconds for each thing that it is asked, and more for what is long. The stores' libraries have
# no such limit: what waits for leave to send its content is under none of theirs.
MOST_SECONDS, SLOWEST = 120, 50_000  # and bytes a second
_FULL = re.compile(r"quota|storagefull|insufficientstorage|nospace|limitexceeded", re.IGNORECASE)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{2,40}")
# By the names of what the stores' libraries raise: they are not imported to be asked.
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "DefaultCredentialsError",
)
_OUT_OF_REACH = (
    "EndpointConnectionError",
    "ClientConnectorError",
    "ConnectionError",
    "ClientConnectionError",
    "gaierror",
)
_TOO_LATE = ("Timeout", "TimedOut")
_LATER = "See whether its own tools reach it"


class StoreError(MigrateError):
    """A store did not do what it was asked. `may_pass` says that it may, if it is asked again."""

    def __init__(self, what: str, *, may_pass: bool = False, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.may_pass = may_pass


@dataclass(frozen=True)
class Entry:
    """An object as it is listed: its size in bytes, and what changes with its content."""

    size: int
    version: str


class Store:
    """The place at a URL. Its methods may be called from several threads, and raise `StoreError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._path = _opened(url)

    def objects(self) -> dict[str, Entry]:
        """All objects within, by their way from here; none where there is nothing."""
        found = self._asked("read", lambda: self._find(self._path))
        prefix = f"{self._path}/"
        return {
            name.removeprefix(prefix): _entry(facts)
            for name, facts in found.items()
            if name.startswith(prefix) and facts.get("type") != "directory" and not name.endswith("/")
        }

    def names_at(self, way: str) -> list[str]:
        """The names of the objects in one folder, which is `way` from here (`..` leads up)."""
        place = str(PurePosixPath(_joined(self._path, way)))
        found = self._asked("read", lambda: self._find(place))
        return sorted(name.rpartition("/")[2] for name in found if name.startswith(f"{place}/"))

    def entry(self) -> Entry | None:
        """The object at the URL itself; None where there is none."""

        def ask() -> Entry | None:
            try:
                facts = self._call("info", self._path)
            except FileNotFoundError as error:
                _refuse_no_bucket(error)
                return None
            return None if facts.get("type") == "directory" else _entry(facts)

        return self._asked("read", ask)

    def get(self, way: str, path: Path, size: int) -> None:
        """Bring an object of so many bytes into a private file; `way` is empty for that at the URL itself."""
        make_private_folder(path.parent)
        self._asked("read", lambda: self._call("get_file", _joined(self._path, way), str(path), size=size))
        if IS_POSIX:
            path.chmod(0o600)

    def put(self, path: Path, way: str = "") -> None:
        """Store a file; an object of that name is replaced as a whole. Raises `FileNotFoundError` if it is gone."""
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "gone", str(path))
        size = path.stat().st_size
        self._once("write", lambda: self._call("put_file", str(path), _joined(self._path, way), size=size))

    def write(self, way: str, data: bytes) -> None:
        """Store some bytes; an object of that name is replaced as a whole."""
        self._once("write", lambda: self._call("pipe_file", _joined(self._path, way), data, size=len(data)))

    def read(self, way: str) -> bytes | None:
        """What an object holds; None where there is none."""

        def ask() -> bytes | None:
            try:
                data: bytes = self._call("cat_file", _joined(self._path, way))
            except FileNotFoundError as error:
                _refuse_no_bucket(error)
                return None
            return data

        return self._asked("read", ask)

    def remove(self, way: str) -> None:
        """Remove an object, if it is there."""

        def ask() -> None:
            try:
                self._call("rm_file", _joined(self._path, way))
            except FileNotFoundError as error:
                _refuse_no_bucket(error)

        self._once("remove from", ask)

    def _find(self, place: str) -> dict[str, Any]:
        self._system.invalidate_cache()
        try:
            found = self._call("find", place, detail=True)
        except FileNotFoundError as error:
            _refuse_no_bucket(error)
            return {}
        return dict(found) if isinstance(found, Mapping) else {}

    def _call(self, name: str, *arguments: Any, size: int = 0, **options: Any) -> Any:
        """Call a method of fsspec's; one that takes too long is cancelled."""
        if self._system.async_impl:
            options["timeout"] = MOST_SECONDS + size // SLOWEST
        return getattr(self._system, name)(*arguments, **options)

    def _once(self, doing: str, ask: Callable[[], T]) -> T:
        with _told(self.url, doing):
            return ask()

    def _asked(self, doing: str, ask: Callable[[], T]) -> T:
        """Ask, and ask again for what may pass."""
        import tenacity

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=tenacity.wait_random_exponential(max=4),
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, StoreError) and error.may_pass),
            reraise=True,
        )
        result: T = retrying(self._once, doing, ask)
        return result


def refuse_unfit(names: Mapping[str, object], url: str) -> None:
    """Raise `RefusedError` for objects whose names are no ways to files within a folder."""
    for name in names:
        parts = name.split("/")
        is_both = any("/".join(parts[:depth]) in names for depth in range(1, len(parts)))  # a file and a folder
        if {"", ".", ".."} & {*parts} or "\\" in name or "\0" in name or is_both:
            raise RefusedError(
                f"{url} holds an object whose name is no file's: {name!r}",
                remedy="Name a folder of chat-migrate's own",
            )


def _joined(path: str, way: str) -> str:
    place = path
    for part in way.split("/") if way else ():
        place = place.rpartition("/")[0] if part == ".." else f"{place}/{part}"
    return place


def _opened(url: str) -> tuple[Any, str]:
    """The file system for a URL, by fsspec, and the path in it."""
    scheme = url.partition("://")[0]
    wanted = EXTRAS.get(scheme)
    extra = f"pip install 'chat-migrate[{wanted}]'" if wanted else "pip install fsspec, and what it needs for that"
    try:
        from fsspec.core import url_to_fs

        options: dict[str, Any] = {"use_listings_cache": False}  # fsspec shares one client among all who ask alike
        if wanted == "s3":
            retries = {"max_attempts": 3, "mode": "standard"}
            options["config_kwargs"] = {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": retries}
        with _told(url, "open"):
            system, path = url_to_fs(url, **options)
    except ImportError:
        raise UsageError(f"{scheme}:// needs what is not installed", remedy=f"Install it with: {extra}") from None
    except ValueError:
        raise UsageError(f"{scheme}:// is no kind of store that is known", remedy="Name one such as s3://") from None
    return system, str(path).rstrip("/")


def _entry(facts: Mapping[str, Any]) -> Entry:
    versions = (
        facts.get(name) for name in ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created")
    )
    return Entry(int(facts.get("size") or 0), str(next((version for version in versions if version), "")))


@contextmanager
def _told(url: str, doing: str) -> Iterator[None]:
    """Have whatever a store's library raises become one line, in which nothing stands that a server has said."""
    try:
        yield
    except (MigrateError, ImportError):
        raise
    except OSError as error:
        if error.filename and str(error.filename).startswith(str(root())):  # of this machine's disk
            raise InputError(
                f"Cannot make a working copy of {url}: {reason_of(error)}",
                remedy="Name another folder for it by the variable TMPDIR",
            ) from error
        raise _error_of(error, url, doing) from error
    except ValueError as error:
        if doing == "open":  # no such kind of store
            raise
        raise _error_of(error, url, doing) from error
    except Exception as error:
        raise _error_of(error, url, doing) from error


def _refuse_no_bucket(error: FileNotFoundError) -> None:
    if _code_of(error) == "NoSuchBucket":
        raise error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def _response(error: BaseException) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, Mapping) else {}


def _code_of(error: BaseException) -> str:
    """How the store calls what is wrong, in one word; empty where it does not say."""
    for one in _chain(error):
        code = (_response(one).get("Error") or {}).get("Code") or getattr(one, "error_code", None)
        if isinstance(code, str) and _WORD.fullmatch(code):
            return code
    return ""


def _status_of(error: BaseException) -> int | None:
    """The status of the store's answer; None where there was none."""
    for one in _chain(error):
        status = (_response(one).get("ResponseMetadata") or {}).get("HTTPStatusCode")
        for value in (status, getattr(one, "status_code", None), getattr(one, "code", None)):
            if isinstance(value, int) and 300 <= value < 600:
                return value
    return None


def _error_of(error: Exception, url: str, doing: str) -> StoreError:
    kinds = [kind.__name__ for one in _chain(error) for kind in type(one).__mro__]
    code, status = _code_of(error), _status_of(error)
    words = f"Cannot {doing} {url}: "
    named = f" ({code or status})" if code or status else ""
    if any(kind in _NO_CREDENTIALS for kind in kinds):
        return StoreError(f"{words}no credentials were found", remedy="Give them as the store's own tools take them")
    if status == 507 or _FULL.search(code) or getattr(error, "errno", None) == errno.ENOSPC:
        return StoreError(f"{words}the store is full{named}", remedy="Make room there")
    if code == "NoSuchBucket":
        return StoreError(f"{words}there is no such bucket", remedy="Make it, or name another")
    if status in (401, 403) or (isinstance(error, PermissionError) and status is None):
        return StoreError(
            f"{words}the store refused the credentials{named}", remedy="Renew them, or their permissions"
        )
    if status is not None and status not in _PASSING and not code.startswith("SlowDown"):
        return StoreError(f"{words}the store refused it{named}", remedy="See what it says to its own tools")
    if any(word in kind for kind in kinds for word in _TOO_LATE):
        return StoreError(f"{words}the store did not answer in time", may_pass=True, remedy=_LATER)
    if any(kind in _OUT_OF_REACH for kind in kinds):
        return StoreError(f"{words}the store cannot be reached", may_pass=True, remedy=_LATER)
    return StoreError(f"{words}{type(error).__name__}{named}", may_pass=True, remedy=_LATER)
