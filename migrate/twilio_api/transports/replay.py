"""Replaying a cassette, which is a recording in vcrpy's format: the APIs as they answered then. Opens no socket."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import yaml
from vcr.persisters.filesystem import CassetteDecodeError, CassetteNotFoundError, FilesystemPersister
from vcr.request import Request as RecordedRequest
from vcr.serializers import yamlserializer

from migrate.model.address import RECORDING
from migrate.model.clock import RECORDED_AT
from migrate.model.errors import InputError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.transports.transport import Answer, Request


class CassetteMissError(InputError):
    """A replay asked for something that the cassette does not hold."""

    is_final = True


class ReplayTransport:
    """Answers from a cassette, each recorded exchange once, in the order of its recording. Opens no socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._answers: defaultdict[tuple[str, str, bytes], deque[Answer]] = defaultdict(deque)
        for request, response in _load(path):
            headers = {name.lower(): values[0] for name, values in response["headers"].items()}
            headers.setdefault(RECORDED_AT, headers.get("date", ""))  # then the clocks were one
            answer = Answer(response["status"]["code"], response["body"]["string"], headers)
            self._answers[_match_key(request.method, request.uri, request.body)].append(answer)

    def send(self, request: Request) -> Answer:
        """The recorded answer. Raises `CassetteMissError` if there is no such answer, or no more of them."""
        key = _match_key(request.method, request.url, request.body)
        with self._lock:
            waiting = self._answers.get(key)
            if waiting:
                return waiting.popleft()
        problem = "has no recording of" if waiting is None else "has no further recording of"
        raise CassetteMissError(
            f"The cassette {self._path} {problem} {request.method} {public_url(request.url)}",
            remedy="Replay the command and options that it was recorded with, or record it again",
        )

    def stop(self) -> None:
        """Nothing is under way: what is recorded is there at once."""

    def close(self) -> None:
        """Nothing is held."""


def name_of(path: Path) -> str:
    """What distinguishes a cassette from others, in the place of an address: the SHA-256 of its content."""
    return f"{RECORDING}{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _load(path: Path) -> list[tuple[RecordedRequest, dict[str, Any]]]:
    try:
        requests, responses, *_ = FilesystemPersister.load_cassette(path, yamlserializer)
        exchanges = list(zip(requests, responses, strict=True))
        for request, response in exchanges:
            if not _is_exchange(request, response):
                raise InputError(f"Cannot read the cassette {path}: an interaction is incomplete")
    except CassetteNotFoundError:
        raise InputError(f"There is no cassette {path}, or it is empty") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"Cannot read the cassette {path}{line}: not valid YAML") from None
    except (CassetteDecodeError, OSError, RecursionError, ValueError, LookupError, TypeError, AttributeError):
        raise InputError(f"Cannot read the cassette {path}: not a recording in vcrpy's format") from None
    return exchanges


def _is_exchange(request: RecordedRequest, response: dict[str, Any]) -> bool:
    headers = response["headers"]
    return (
        isinstance(request.method, str)
        and isinstance(request.uri, str)
        and isinstance(request.body, bytes | str | None)
        and isinstance(response["body"]["string"], bytes)
        and isinstance(response["status"]["code"], int)
        and all(isinstance(name, str) and isinstance(value[0], str) for name, value in headers.items())
    )


def _match_key(method: str, url: str, body: bytes | str | None) -> tuple[str, str, bytes]:
    """What makes two requests the same. The page size is the server's to decide, and the recording says how."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "PageSize"]
    data = body.encode() if isinstance(body, str) else body or b""
    return method, urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(sorted(query)), "")), data
