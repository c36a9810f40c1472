"""An S3 server of the tests' own, on loopback, whose faults a test chooses."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

REGION = "us-east-1"
SECRET = "synthetic-secret-of-the-store"


@dataclass
class Faults:
    """What the server does instead of what it is asked. `wants` chooses the requests, by method and path."""

    wants: Callable[[str, str], bool] = field(default=lambda method, path: False)
    status: int = 403
    code: str = "ExpiredToken"
    seconds: float = 0.0  # that it waits first; with status 0 that is all
    met: int = 0


class _Faulty:
    """moto's application, behind the faults."""

    def __init__(self, app: Any, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        faults = self._faults
        if faults.wants(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            faults.met += 1
            time.sleep(faults.seconds)
            if faults.status:
                said = f"<Error><Code>{faults.code}</Code><Message>of {SECRET}</Message></Error>".encode()
                start_response(
                    f"{faults.status} NO", [("Content-Type", "application/xml"), ("Content-Length", str(len(said)))]
                )
                return [said]
        return self._app(environ, start_response)


@pytest.fixture(scope="session")
def _s3() -> Iterator[tuple[str, Faults]]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log(self, *arguments: Any) -> None:
            pass

    faults = Faults()
    app = _Faulty(DomainDispatcherApplication(create_backend_app), faults)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}", faults
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Bucket:
    """An empty bucket, its URL, and a client that looks at it."""

    name: str
    client: Any
    faults: Faults

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What is there, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        found: dict[str, bytes] = {}
        for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
            with suppress(self.client.exceptions.NoSuchKey):  # it is gone by now
                found[key] = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return found


@pytest.fixture(scope="session")
def _client(_s3: tuple[str, Faults]) -> Iterator[Any]:
    """What looks at buckets. Amazon's descriptions of its services, megabytes of JSON, are read once, and not for each client."""
    import boto3
    from botocore.loaders import JSONFileLoader

    read, key = JSONFileLoader().load_file, {"aws_access_key_id": "synthetic-key", "aws_secret_access_key": SECRET}
    once = cache(read)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda self, path: once(path))
        yield boto3.client("s3", endpoint_url=_s3[0], region_name=REGION, **key)


@pytest.fixture
def bucket(_s3: tuple[str, Faults], _client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Bucket]:
    """A bucket; the program finds the server and its credentials in the environment."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()  # of an earlier test's credentials
    url, faults = _s3
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "synthetic-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHAT_MIGRATE_LEASE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex}"
    _client.create_bucket(Bucket=name)
    yield Bucket(name, _client, faults)
    faults.__init__()  # type: ignore[misc]
    assert not [path for path in temporary.glob("chat-migrate-store-*") if not (path / "kept").exists()]
