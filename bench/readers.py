"""What is measured: this project's extract, and other ways to read the same bindings over the same connection."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.floor import ACCOUNT, PAGE_SIZE, TOKEN

ENVIRONMENT = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
FIELDS = ["sid", "account_sid", "endpoint", "identity", "binding_type", "credential_sid", "message_types"]
FIELDS += ["date_created", "date_updated"]

# A reader gets the server's address and an empty folder; what it gives is timed, and returns the rows that it read.
Work = Callable[[], int]
Reader = Callable[[str, Path], Work]


def service(number: int) -> str:
    """The SID of the stand-in's services, by their place."""
    return f"IS{number:032d}"


def chat_migrate(url: str, folder: Path, **options: Any) -> Work:
    """This project, through its public functions."""
    for late in ("twilio.rest", "migrate.twilio_api.transports.live", "migrate.extract.chains"):
        import_module(late)  # only the work is timed

    from migrate.extract.extraction import ExtractOptions, extract_snapshot
    from migrate.twilio_api.connect import ApiSettings, open_api

    def work() -> int:
        with open_api(ApiSettings(url, url, environment=ENVIRONMENT)) as api:
            found = extract_snapshot(api, folder / "snapshot", ExtractOptions(**options))
            return found.rows + found.rejected

    return work


def one_chain(url: str, folder: Path) -> Work:
    """This project, with small pages and one chain."""
    return chat_migrate(url, folder, page_size=50, shard=False)


def identity_file(url: str, folder: Path) -> Work:
    """This project, with small pages and the identities of all bindings in a file."""
    file = folder / "identities.txt"
    file.write_text("".join(f"user-{number:04}\n" for number in range(1, 1 + int(os.environ["BENCH_BINDINGS"]))))
    return chat_migrate(url, folder, page_size=50, identity_file=file)


def stock_twilio(url: str, folder: Path) -> Work:
    """Stock twilio-python's `stream()`, a pandas DataFrame, `to_parquet`."""
    import pandas as pd
    from twilio.rest import Client

    client: Any = Client(ACCOUNT, TOKEN)  # type: ignore[no-untyped-call]
    client.chat.base_url = url

    def work() -> int:
        bindings = client.chat.v2.services(service(1)).bindings.stream(page_size=PAGE_SIZE)
        frame = pd.DataFrame([{name: getattr(item, name) for name in FIELDS} for item in bindings])
        frame.to_parquet(folder / "bindings.parquet")
        return len(frame)

    return work


def dlt_rest(url: str, folder: Path) -> Work:
    """The REST source of dlt into its filesystem destination, as Parquet."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    import pyarrow.parquet as pq
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/v2/",
                "auth": {"type": "http_basic", "username": ACCOUNT, "password": TOKEN},
                "paginator": {"type": "json_link", "next_url_path": "meta.next_page_url"},
            },
            "resources": [
                {
                    "name": "bindings",
                    "endpoint": {
                        "path": f"Services/{service(1)}/Bindings",
                        "params": {"PageSize": PAGE_SIZE},
                        "data_selector": "bindings",
                    },
                }
            ],
        }
    )
    files = dlt.destinations.filesystem(bucket_url=str(folder / "out"))
    pipeline = dlt.pipeline("bench", pipelines_dir=str(folder), destination=files, dataset_name="chat")

    def work() -> int:
        pipeline.run(source, loader_file_format="parquet")
        found = (folder / "out" / "chat" / "bindings").rglob("*.parquet")
        return sum(pq.read_metadata(path).num_rows for path in found)

    return work


def fetch_and_decode(url: str, folder: Path) -> Work:
    """The floor: the same bytes through urllib3, and `orjson.loads` on each page; nothing is kept."""
    from bench.floor import read

    return lambda: read(url, service(1))


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (chat_migrate, one_chain, identity_file, stock_twilio, dlt_rest, fetch_and_decode)
}
