"""The floor of an extract: the same pages through urllib3, and `orjson.loads` on each; nothing is kept.

As a process of its own, `python -m bench.floor URL ROWS`, it fails where it does not read so many rows.
"""

from __future__ import annotations

import sys

import orjson
import urllib3

ACCOUNT, TOKEN = "AC" + "1" * 32, "synthetic-token"
TYPES = ("apn", "fcm", "gcm")
PAGE_SIZE = 1000


def first_page(url: str, service_sid: str, binding_type: str) -> str:
    """The address of the first page of a service's bindings of one type, as an extract asks for it."""
    return f"{url}/v2/Services/{service_sid}/Bindings?BindingType={binding_type}&PageSize={PAGE_SIZE}"


def read(url: str, service_sid: str) -> int:
    """Walk the chains that an extract walks, one after the other. Returns the rows that came."""
    rows = 0
    headers = urllib3.make_headers(basic_auth=f"{ACCOUNT}:{TOKEN}")
    with urllib3.PoolManager() as http:
        for binding_type in TYPES:
            link = first_page(url, service_sid, binding_type)
            while link:
                page = orjson.loads(http.request("GET", link, headers=headers).data)
                rows, link = rows + len(page["bindings"]), page["meta"]["next_page_url"]
    return rows


if __name__ == "__main__":
    if read(sys.argv[1], "IS" + "1".zfill(32)) != int(sys.argv[2]):
        sys.exit("It did not bring every row")
