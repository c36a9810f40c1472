"""What the tests share: a running stand-in, the command line, and one replayed demo."""

from __future__ import annotations

import copy
import gc
import importlib
import json
import os
import pkgutil
import re
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from click.testing import CliRunner, Result

import migrate as program
from cassettes.record import record
from migrate.cli.app import cli
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import DEMO_WORLD, World, make_world
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.transports.surroundings import BUNDLES

# The first example of a run builds hypothesis's tables, and other work on the machine makes it slow.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")

ROOT = Path(__file__).parent.parent
CASSETTE = ROOT / "cassettes" / "demo.yaml"
ODD_WORLD = ROOT / "tests" / "worlds" / "odd.yaml"  # for tests alone: what names and identities hold at the worst
SEED = int(os.environ.get("WORLDS_SEED", "20261128"))  # of arbitrary worlds; another seed makes others
SHARED_OPENAPI = ROOT.parent / "shared" / "twilio-oai"
TOKEN = "synthetic-token"
DEMO_ACCOUNT = "AC" + "0" * 32
# The measured process is the child of a small one: a child's peak is never less than that of whom it was forked from.
MEASURE = """
import json, os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "migrate", *sys.argv[1:]], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]))
"""
# Tests look at what is said, not at where its lines are broken; tests/test_text_output.py looks at that.
WIDE = {"COLUMNS": "10000"}


# What takes minutes is begun first: whatever is begun last is waited for at the end.
SLOWEST = (
    "test_long_fleet",
    "test_load_machine",
    "test_long_alerts",
    "test_docs",
    "test_long_kills",
    "test_retire_worlds",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only what is `long` is wanted, a file that has none is not even read: each process would take seconds for it."""
    wants_long = config.option.markexpr == "long" and collection_path.match("test_*.py")
    return True if wants_long and "mark.long" not in collection_path.read_text("utf-8") else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """What is read and rewritten to be collected is not traced, which takes half as long again; what of ours is imported, is."""
    plugin = session.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None:
        return (yield)
    for module in pkgutil.walk_packages(program.__path__, "migrate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest are the first. Tracing takes more than half the time, so what others reach as well is not traced.

    Property tests look for what nobody has thought of; and of a test that asks a stand-in the first case is traced.
    """
    items.sort(key=lambda item: SLOWEST.index(item.path.stem) if item.path.stem in SLOWEST else len(SLOWEST))
    traced: set[str] = set()
    for item in items:
        is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        name, _, case = item.nodeid.partition("[")
        is_repeated = bool(case) and name in traced and "serve" in getattr(item, "fixturenames", ())
        if is_property or is_repeated:
            item.add_marker("no_cover")
        traced.add(name)


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """What the arbitrary worlds of this run come from; the same seed makes the same again."""
    return f"worlds: WORLDS_SEED={SEED}"


def service_sid(number: int) -> str:
    """The SID of a world's service, by its place in the file."""
    return f"IS{number:032d}"


def tiny_world(**changes: Any) -> dict[str, Any]:
    """The content of a world file with one service and three bindings, with changes to that service."""
    service = {
        "name": "Tiny",
        "credentials": {"apn": "push", "fcm": "push", "gcm": "push"},
        "notifications": {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}"}},
        "bindings": [{"count": 3, "identity": "person-{n}"}],
    }
    return {
        "now": "2026-06-15T08:00:00Z",
        "account_sid": "AC" + "1" * 32,
        "auth_token": TOKEN,
        "credentials": [{"name": "push", "type": "apn"}],
        "services": [{**service, **changes}],
    }


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program keeps its locks: tests that run side by side do not wait for each other."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, state: Path) -> pytest.MonkeyPatch:
    """No test sees the credentials, addresses or locks of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(state))
    for name in [*os.environ]:
        ours = name.startswith(("TWILIO_", "CHAT_MIGRATE_A", "CHAT_MIGRATE_C", "CHAT_MIGRATE_M")) or name in BUNDLES
        if ours or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", WIDE["COLUMNS"])
    return monkeypatch


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries happen as often as ever, and count what they would have waited; the pauses are left out."""
    monkeypatch.setattr(RetryPolicy, "sleep", lambda self, seconds: None)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls this machine's plug: tests of this process do not wait for its disk. test_durability.py looks at what is synced."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


Run = Callable[..., Result]
# What a step to be done next is for a program: whoever calls the command line is told a command.
_UNSPELT = r"\bthe same call\b|\b(?:extract|map|load|rollback|verify)\(\w+="


@pytest.fixture
def run() -> Run:
    """Call the command line in this process; the arguments may be paths."""

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="chat-migrate")
        assert not re.search(_UNSPELT, result.stderr), result.stderr
        return result

    return call


def said(result: Result) -> str:
    """What a command said on standard error, but for the warning that a stand-in is not Twilio's own address."""
    return re.sub(r"Warning: this is not Twilio's own address: .*\n", "", result.stderr)


Serve = Callable[..., StandInServer]


@contextmanager
def untraced_threads() -> Iterator[None]:
    """Threads that start here are not traced, which takes more than half of their time; nothing else changes."""
    trace = threading.gettrace()
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(trace)


@pytest.fixture
def serve(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a stand-in with a world (or a world file's content), and point the command line at it.

    `at` is an earlier one, which ends: the new one gets its address.
    """
    servers: list[StandInServer] = []
    # The lines of the stand-in are those that its own tests reach.
    is_looked_at = request.module.__name__.startswith(("tests.test_standin", "tests.test_contract"))

    def start(
        world: World | dict[str, Any],
        sizes: PageSizes | None = None,
        *,
        faults: Faults | None = None,
        prerendered: bool = False,
        at: StandInServer | None = None,
    ) -> StandInServer:
        if not isinstance(world, World):
            world = make_world(world)
        port = 0
        if at:
            port = int(at.url.rpartition(":")[2])
            servers.remove(at)
            at.__exit__(None, None, None)
        with nullcontext() if is_looked_at else untraced_threads():
            server = StandInServer(world, sizes, port, faults=faults, prerendered=prerendered).__enter__()
        servers.append(server)
        environment.setenv("CHAT_MIGRATE_CHAT_URL", server.url)
        environment.setenv("CHAT_MIGRATE_CONVERSATIONS_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", world.account_sid)
        environment.setenv("TWILIO_AUTH_TOKEN", world.auth_token)
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def demo_content() -> dict[str, Any]:
    """The content of the demo's world file. Do not change it; see `demo_world`."""
    content: dict[str, Any] = yaml.safe_load(DEMO_WORLD.read_text("utf-8"))
    return content


@pytest.fixture
def demo_world(demo_content: dict[str, Any]) -> World:
    """A demo world of the test's own."""
    return make_world(copy.deepcopy(demo_content))


@pytest.fixture(scope="session")
def odd_content() -> dict[str, Any]:
    """The content of the odd world's file. Do not change it; see `odd_world`."""
    content: dict[str, Any] = yaml.safe_load(ODD_WORLD.read_text("utf-8"))
    return content


@pytest.fixture
def odd_world(odd_content: dict[str, Any]) -> World:
    """An odd world of the test's own: the demo's, with names, texts and identities of every kind."""
    return make_world(copy.deepcopy(odd_content))


Migrated = Callable[[World | dict[str, Any]], Path]


@pytest.fixture(scope="session")
def _migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    made: dict[str, Path] = {}

    def call(world: World | dict[str, Any]) -> Path:
        world = world if isinstance(world, World) else make_world(copy.deepcopy(world))
        if (key := repr(world)) not in made:
            made[key] = migrate(world, tmp_path_factory.mktemp("migrated"))
        return made[key]

    return call


def migrate(world: World, folder: Path) -> Path:
    """Extract and map a world, from a stand-in that ends then."""
    with StandInServer(copy.deepcopy(world)) as server:
        urls = {f"CHAT_MIGRATE_{api}_URL": server.url for api in ("CHAT", "CONVERSATIONS")}
        account = {"TWILIO_ACCOUNT_SID": world.account_sid, "TWILIO_AUTH_TOKEN": world.auth_token}
        done = CliRunner(env=urls | account).invoke(cli, ["run", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def migrated(_migrated_once: Migrated, tmp_path: Path) -> Migrated:
    """Give a test its own `snapshot` and `mapped` of a world, in `tmp_path`; the mapped folder.

    A world of the same content is extracted and mapped once, from another stand-in than the test's.
    """

    def call(world: World | dict[str, Any]) -> Path:
        for name in ("snapshot", "mapped"):
            shutil.copytree(_migrated_once(world) / name, tmp_path / name)
        return tmp_path / "mapped"

    return call


@pytest.fixture(scope="session")
def migration(tmp_path_factory: pytest.TempPathFactory, demo_content: dict[str, Any]) -> Path:
    """The demo, extracted and mapped from a stand-in, once."""
    return migrate(make_world(copy.deepcopy(demo_content)), tmp_path_factory.mktemp("migration"))


@dataclass(frozen=True)
class Demo:
    """A finished run of a replayed world: the demo, or the odd one."""

    folder: Path
    result: Result
    cassette: Path = CASSETTE

    def json(self, *names: str) -> Any:
        """A JSON file below the run's folder."""
        return json.loads(self.folder.joinpath(*names).read_bytes())


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The recorded demo, run once."""
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(cli, ["run", "--replay", str(CASSETTE), "--out", str(folder)], env=WIDE)
    assert result.exit_code == 0, result.output
    return Demo(folder, result)


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The odd world, recorded and replayed once."""
    folder = tmp_path_factory.mktemp("odd")
    cassette = folder / "odd.yaml"
    record(cassette, ODD_WORLD)
    result = CliRunner().invoke(cli, ["run", "--replay", str(cassette), "--out", str(folder / "run")], env=WIDE)
    assert result.exit_code == 0, result.output
    return Demo(folder / "run", result, cassette)
