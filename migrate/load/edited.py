"""The mapped folder that a saved plan was made from, where it lies beside the plan, and whether it was edited."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from migrate.load.journal import begun_journal
from migrate.load.plan_file import free_plan
from migrate.load.planning import digest_without_credentials
from migrate.map.mapped_folder import CONFIG, Mapped, open_mapped, shown_path
from migrate.model.errors import InputError, StaleError, Step
from migrate.model.plan import Plan
from migrate.model.push_config import PushConfig

_BESIDE = "mapped"  # where `chat-migrate run` writes the mapped folder, beside the plan


def refuse_edited(plan: Plan, plan_file: Path, journal: Path) -> None:
    """Raise `StaleError` where the mapped folder beside a saved plan is of the same snapshot, and its
    push-config.yaml states something else than the plan was made from.

    A plan does not name its folder, so one that lies elsewhere is taken as it is, and so is one that its journal says
    was begun, which can only be finished or undone. Raises `InputError` where push-config.yaml has a mistake.
    """
    begun = begun_journal(journal)
    if begun and begun.plan_id == plan.plan_id and begun.entries:
        return
    mapped = _beside(plan_file)
    if mapped is None or mapped.summary.snapshot != plan.snapshot or plan.push_config in _digests(mapped, plan):
        return
    raise StaleError(
        f"{mapped.folder / CONFIG} was edited after the plan {plan_file} was made from it",
        kept="Nothing was written",
        remedy=(
            "Make a new plan with: ",
            Step("load", {"mapped": mapped.folder, "plan_out": free_plan(plan_file)}),
            ". Or move the older plan to another folder, to apply it as it is",
        ),
    )


def snapshot_beside(plan: Plan, plan_file: Path) -> Path | None:
    """The snapshot that a saved plan rests on, where the mapped folder beside the plan is of that one."""
    try:
        mapped = _beside(plan_file)
    except InputError:
        return None
    return shown_path(mapped.snapshot) if mapped and mapped.summary.snapshot == plan.snapshot else None


def _beside(plan_file: Path) -> Mapped | None:
    folder = shown_path(plan_file.resolve().parent / _BESIDE)
    try:
        return open_mapped(folder)
    except InputError as error:
        if str(folder / CONFIG) in error.what:  # it was edited, and what it states is not known
            raise
    except OSError:
        pass
    return None


def _digests(mapped: Mapped, plan: Plan) -> tuple[str, str]:
    """What a plan made now would have for the push configuration: the whole, or as narrowed as that plan is; and what
    one would have that was made for its services by name, which can be all that there are.
    """
    planned = {*plan.unchanged, *plan.missing, *(change.service_sid for change in plan.changes)}
    config = mapped.config
    some = PushConfig(tuple(one for one in config.services if one.service_sid in planned))
    if not {service["service_sid"] for service in mapped.summary.services} <= plan.services.keys():
        config = some if planned else PushConfig((), config.credentials)
    return replace(mapped, config=config).config_digest, digest_without_credentials(some)
