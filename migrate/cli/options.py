"""Options that commands share, and the check of every path that a command is given."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrate.cli.console import MOST_LOGGED, Screen, broken, logging_to
from migrate.cli.help import shared_option
from migrate.cli.paths import InFile, InMapped, InSnapshot, OutFile, guard_paths, or_fleet
from migrate.cli.spelling import same_command, spelled
from migrate.model.errors import UsageError
from migrate.model.sids import is_binding_sid, is_service_sid, normal
from migrate.twilio_api.addresses import CANONICAL
from migrate.twilio_api.demo import DEMO, said_of_demo
from migrate.twilio_api.limits import (
    DEFAULT_CONCURRENCY,
    DEFAULT_PAGE_SIZE,
    DEFAULT_RETRY_BUDGET,
    LARGEST_PAGE_SIZE,
)

if TYPE_CHECKING:
    from migrate.inspect.kinds import Kind
    from migrate.map.rules import Rules

logger = logging.getLogger(__name__)
Command = TypeVar("Command", bound=Callable[..., Any])
# The options of an extract that hold for any account; services and users are one account's.
EACH_ACCOUNT = ("binding_types", "source", "shard", "alerts", "restart")
_twilio_option = shared_option("Common options for Twilio")
_output_option = shared_option("Common options for output and logs")


class ServiceSid(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A service's SID: IS and 32 hexadecimal digits."""

    name = "IS…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether there is such a service, Twilio knows."""
        sid = normal(str(value))
        if not is_service_sid(sid):
            self.fail(f"{value!r} is not a service SID (IS and 32 hexadecimal digits)", param, ctx)
        return sid


class BindingSid(click.ParamType):  # type: ignore[type-arg]
    """A binding's SID: BS and 32 hexadecimal digits."""

    name = "BS…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form."""
        sid = normal(str(value))
        if not is_binding_sid(sid):
            self.fail("not a binding's SID (BS and 32 hexadecimal digits)", param, ctx)
        return sid


class Identity(click.ParamType):  # type: ignore[type-arg]
    """A user's identity: any text that can be sent."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no text: bytes of the command line that are not valid in its encoding."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("not valid text in this terminal's encoding", param, ctx)
        if not value:
            self.fail("an identity is not empty", param, ctx)
        return str(value)


class FormatFile(OutFile):
    """A report or a list, whose ending names its format; `what` it is, for the message."""

    def __init__(
        self, what: str, *formats: str, apart: bool = False, stays: bool = True, takes: tuple[Kind, ...] = ()
    ) -> None:
        super().__init__(*takes, apart=apart, stays=stays)
        self.what = what
        self.formats = formats

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the ending."""
        if Path(value).suffix not in self.formats:
            self.fail(f"{value!r}: {self.what} ends in {' or '.join(self.formats)}", param, ctx)
        return super().convert(value, param, ctx)


class Cassette(InFile):
    """A cassette to replay; `demo` is the one that comes with the program, whatever folder has that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that it is no folder; whether it is a cassette shows when it is opened."""
        if str(value) == str(DEMO):
            return DEMO
        path = super().convert(value, param, ctx)
        return path.absolute() if path == DEMO else path  # ./demo: the file of that name

    def refuse_other_kind(self, path: Path) -> None:
        """As others do; the demo's name is no place."""
        if path != DEMO:
            super().refuse_other_kind(path)


def common_options(command: Command) -> Command:
    """Options of every command; the command gets them as its argument `screen`."""

    @_output_option(
        "-v", "--verbose", count=True,
        help=f"Show findings in full before a write, and log to standard error, the first {MOST_LOGGED} messages of "
        "each kind; -vv logs requests as well.",
    )  # fmt: skip
    @_output_option(
        "--log-file", type=OutFile(stays_here="a log grows line by line"), metavar="FILE",
        help="Log to a file as JSON lines, without a limit.",
    )  # fmt: skip
    @_output_option("--json", "as_json", is_flag=True, help="Write the result as one JSON document.")
    @_output_option("--no-color", is_flag=True, help="Write without colour.")
    @functools.wraps(command)
    def wrapped(*args: Any, verbose: int, log_file: Path | None, as_json: bool, no_color: bool, **kwargs: Any) -> Any:
        guard_paths(click.get_current_context())
        with logging_to(verbose, log_file):
            try:
                with spelled(same_command(without=("record",))):  # what was recorded is not overwritten
                    return command(*args, screen=Screen(as_json, no_color, verbose > 0), **kwargs)
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except Exception as error:
                logger.info("%s", type(error).__name__, exc_info=True)
                raise

    return wrapped  # type: ignore[return-value]


def overwrite_option(what: str) -> Callable[[Command], Command]:
    """The option without which no report is overwritten; the guard of paths looks at it, the command does not."""

    def decorated(command: Command) -> Command:
        @click.option("--overwrite", is_flag=True, help=f"Replace {what} that is there.")
        @functools.wraps(command)
        def wrapped(*args: Any, overwrite: bool, **kwargs: Any) -> Any:
            return command(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorated


def rules_option(command: Command) -> Command:
    """The option for rules of one's own; the command gets `rules`, or None where the default ones hold."""

    @click.option(
        "--rules", "rules_file", type=InFile("rules", exists=True), metavar="FILE",
        help="A TOML file with the rules to change; `chat-migrate rules` shows them all.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(*args: Any, rules_file: Path | None, **kwargs: Any) -> Any:
        if rules_file is None:  # the default ones are read where they are needed, which is after the first request
            return command(*args, rules=None, **kwargs)
        guard_paths(click.get_current_context())  # before it is read
        from migrate.map.rules_toml import load_rules

        return command(*args, rules=load_rules(rules_file), **kwargs)

    return wrapped  # type: ignore[return-value]


like_option = click.option(
    "--like", type=or_fleet(InMapped()), metavar="MAPPED",
    help="A reviewed mapped folder: carry over its rules, and what was edited in its push-config.yaml.",
)  # fmt: skip


def refuse_both(like: Path | None, rules: Rules | None) -> None:
    """Raise `click.UsageError` where both are given: they say which rules hold."""
    if like and rules:
        raise click.UsageError("--rules and --like exclude each other: --like carries over the reviewed rules")


def api_options(command: Command) -> Command:
    """Options of commands that talk to Twilio; the command gets `settings`."""

    @_twilio_option(
        "--chat-url", metavar="URL", default=CANONICAL["chat"], envvar="CHAT_MIGRATE_CHAT_URL", show_default=True,
        show_envvar=True, help="Scheme and host of Programmable Chat.",
    )  # fmt: skip
    @_twilio_option(
        "--conversations-url", metavar="URL", default=CANONICAL["conversations"],
        envvar="CHAT_MIGRATE_CONVERSATIONS_URL", show_default=True, show_envvar=True,
        help="Scheme and host of Conversations.",
    )  # fmt: skip
    @_twilio_option(
        "--monitor-url", metavar="URL", envvar="CHAT_MIGRATE_MONITOR_URL", show_envvar=True,
        help="Scheme and host of Monitor, which has the push errors. Without it: https://monitor.twilio.com, or none "
        "beside another address of Conversations.",
    )  # fmt: skip
    @_twilio_option(
        "--accounts-url", metavar="URL", envvar="CHAT_MIGRATE_ACCOUNTS_URL", show_envvar=True,
        help="Scheme and host of the API that lists accounts. Without it: https://api.twilio.com, or none beside "
        "another address of Conversations.",
    )  # fmt: skip
    @_twilio_option(
        "--record", type=OutFile("cassette"), metavar="CASSETTE", help="Record all exchanges to a new cassette."
    )
    @_twilio_option(
        "--replay", type=Cassette("cassette"), metavar="CASSETTE",
        help="Answer from a cassette; stay offline. `demo` is the demo that comes with the program.",
    )  # fmt: skip
    @_twilio_option(
        "--concurrency", type=click.IntRange(1, 64), default=DEFAULT_CONCURRENCY, show_default=True, metavar="N",
        help="The most requests at a time.",
    )  # fmt: skip
    @_twilio_option(
        "--retry-budget", type=click.FloatRange(0, 86_400), default=DEFAULT_RETRY_BUDGET, show_default=True,
        metavar="SECONDS", help="How long one request is tried again.",
    )  # fmt: skip
    @_twilio_option(
        "--page-size", type=click.IntRange(1, LARGEST_PAGE_SIZE), default=DEFAULT_PAGE_SIZE, show_default=True,
        metavar="N", help="Rows to ask for at a time; fewer where the server takes no more.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        chat_url: str,
        conversations_url: str,
        monitor_url: str | None,
        accounts_url: str | None,
        record: Path | None,
        replay: Path | None,
        concurrency: int,
        retry_budget: float,
        page_size: int,
        **kwargs: Any,
    ) -> Any:
        if record and replay:
            raise click.UsageError("--record and --replay exclude each other")
        if replay == DEMO:
            click.echo(f"Replaying {said_of_demo()}", err=True)
        from migrate.twilio_api.connect import ApiSettings

        settings = ApiSettings(
            chat_url,
            conversations_url,
            record,
            replay,
            concurrency,
            retry_budget,
            page_size,
            monitor_url,
            accounts_url=accounts_url,
            say=_warn,
        )
        return command(*args, settings=settings, **kwargs)

    return wrapped  # type: ignore[return-value]


def _warn(message: str) -> None:
    click.echo(broken(f"Warning: {message}"), err=True)


def extract_options(command: Command) -> Command:
    """What to extract; the command gets `options` and a `progress`."""

    @click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
    @click.option(
        "--binding-type", "binding_types", type=click.Choice(["apn", "fcm", "gcm"]), multiple=True,
        help="Only this push technology. Repeatable.",
    )  # fmt: skip
    @click.option("--identity", "identities", type=Identity(), multiple=True, help="Only this user. Repeatable.")
    @click.option(
        "--identity-file", metavar="FILE",
        type=InFile("snapshot", "part", called="a list of identities", exists=True, or_folder=True),
        help="Only these users: a text file with one a line, a .csv or .parquet file, or a snapshot.",
    )  # fmt: skip
    @click.option(
        "--identity-column", default="identity", show_default=True, metavar="NAME", help="The column in that file."
    )
    @click.option(
        "--source", type=click.Choice(["auto", "chat", "conversations"]), default="auto", show_default=True,
        help="Where to read; auto is Chat, or Conversations where Chat is switched off.",
    )  # fmt: skip
    @click.option(
        "--shard/--no-shard", default=True, help="Read each binding type of a service as a list of its own."
    )
    @click.option(
        "--alerts/--no-alerts", default=True, show_default=True,
        help="Take the push errors of the last 30 days along, from Twilio's Alerts.",
    )  # fmt: skip
    @click.option("--restart", is_flag=True, help="Start an unfinished snapshot over, instead of resuming it.")
    @click.option(
        "--expect",
        type=InSnapshot(),
        metavar="SNAPSHOT",
        help="An earlier snapshot, to estimate the time that is left.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, expect: Path | None, **kwargs: Any) -> Any:
        if kwargs["identities"] and kwargs["identity_file"]:
            raise click.UsageError("--identity and --identity-file exclude each other")
        from migrate.extract.extraction import ExtractOptions
        from migrate.extract.progress import ExtractProgress
        from migrate.snapshot.manifest import read_manifest

        guard_paths(click.get_current_context())  # before it is read
        earlier = read_manifest(expect) if expect else None
        if earlier and earlier.status != "finished":
            raise UsageError(f"--expect: the snapshot {expect} is unfinished")
        progress = ExtractProgress(earlier.rows_by_service if earlier else {})
        names = [field.name for field in fields(ExtractOptions) if field.name != "page_size"]  # one of `api_options`
        options = ExtractOptions(**{name: kwargs.pop(name) for name in names})
        return command(*args, options=options, progress=progress, **kwargs)

    return wrapped  # type: ignore[return-value]
