"""chat-migrate why: one user, and why no push comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import Identity, ServiceSid, api_options, common_options
from migrate.cli.paths import InList, InMapped, InSnapshot
from migrate.cli.spelling import same_command, spelled
from migrate.model.errors import UsageError

if TYPE_CHECKING:
    from migrate.twilio_api.connect import ApiSettings
    from migrate.why.facts import Facts

_ONE = "Name one identity: in quotes where it has spaces, and after -- where it begins with a hyphen"


class _OfOneUser(Command):
    """A command whose argument is personal data: what click would repeat of it in an error is left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        try:
            left = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:  # an option, misspelt
                raise
            raise click.UsageError(_ONE, ctx) from None
        if ctx.args:
            raise click.UsageError(_ONE, ctx)
        return left


@click.command(cls=_OfOneUser, context_settings={"allow_extra_args": True})
@click.argument("identity", type=Identity())
@click.option("--service", "service_sid", type=ServiceSid(), required=True, help="The service that should push.")
@click.option(
    "--snapshot", type=InSnapshot(), metavar="SNAPSHOT",
    help="Offline: look into this snapshot, instead of asking Twilio.",
)  # fmt: skip
@click.option(
    "--against", type=InSnapshot(), metavar="SNAPSHOT",
    help="With --snapshot: an extract with --source conversations, which has who is registered there.",
)  # fmt: skip
@click.option(
    "--pending", type=InList(), metavar="FILE",
    help="With --snapshot: the list of `verify --pending`, where there is no such extract.",
)  # fmt: skip
@click.option(
    "--mapped", type=InMapped(), metavar="MAPPED",
    help="A mapped folder: what load would change, and which credentials are meant.",
)  # fmt: skip
@click.option("--show-identities", is_flag=True, help="Show identities whole, instead of masked.")
@api_options
@common_options
def why(
    identity: str,
    service_sid: str,
    snapshot: Path | None,
    against: Path | None,
    pending: Path | None,
    mapped: Path | None,
    show_identities: bool,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Say why a user gets no push: the bindings on both sides, the settings, the credentials, and the next step.

    Asks both APIs, with the push errors of the last 24 hours; it writes nothing. With --snapshot it stays offline:
    Chat's bindings, the settings and the push errors are those of the snapshot, and --against or --pending names who
    was registered with Conversations.

    The verdict names what stops the push first, and then what else may; what is not known is listed as such. Exits
    with 0 whatever the verdict is.

    \b
    Example:
      chat-migrate why alice@example.com --service IS00000000000000000000000000000001 --mapped mapped
    """
    if (against or pending) and not snapshot:
        raise UsageError("--against and --pending go with --snapshot; without it Conversations itself is asked")
    if against and pending:
        raise UsageError("--against and --pending exclude each other: the former says more")
    if snapshot and (settings.record or settings.replay):
        raise UsageError("--snapshot stays offline: --record and --replay do not go with it")
    # The identity is left for the caller to fill in.
    with spelled(lambda: same_command("IDENTITY", without=("record", "identity"))):
        if snapshot:
            from migrate.why.offline import facts_of_files

            facts = facts_of_files(identity, service_sid, snapshot, against, mapped, pending)
        else:
            facts = _live(identity, service_sid, mapped, settings, screen)
    from migrate.report.why import why_view
    from migrate.why.answer import Answer

    answer = Answer(facts)
    screen.result(
        answer.to_json(whole_identity=show_identities), lambda: why_view(answer, whole_identity=show_identities)
    )


def _live(identity: str, service_sid: str, mapped: Path | None, settings: ApiSettings, screen: Screen) -> Facts:
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.doubts import doubt_of_account, doubt_of_clock
    from migrate.why.live import facts_of_twilio

    with open_api(settings) as api:
        facts = facts_of_twilio(api, identity, service_sid, mapped)
        warn(screen, doubt_of_account(api), doubt_of_clock(api))
    return facts
