"""Reasons why a model does not fit a published family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zoo.checks import Refused
from zoo.hub.config_json import read_published_config, write_published_config
from zoo.hub.config_views import PlanValues
from zoo.hub.family import Family, Form
from zoo.hub.family_index import get_families
from zoo.hub.origin import Origin
from zoo.hub.plan_difference import Difference, compare_plans
from zoo.model.plan import ModelPlan
from zoo.model.schema import SLOTS


def find_misfits(family: Family, plan: ModelPlan, task: str | None = None) -> list[Difference]:
    """Finds the parts of a plan that a family cannot express; returns an empty list if it fits.

    A config.json is written for the plan and read again: whatever does not come back is a misfit.

    Args:
        family: the family.
        plan: the model.
        task: the family's class with the task head that is kept beside the model; None if there is none.
    """
    form = Form(plan.head is not None, plan.pooler)
    if task is None and family.find_architecture(form) is None:
        known = ", ".join(family.architectures)
        return [Difference("head", "head and pooler" if form.head else "no head", f"one of {known}")]
    variant = str(family.base["variant"])
    if variant != plan.variant:
        return [Difference("variant", plan.variant, variant)]
    try:
        back = read_published_config(write_published_config(family, plan, {}, task)).plan
    except Refused as error:
        refused = [Difference("config.json", "required by this model", line) for line in str(error).splitlines()]
        return list(_compare_parts(family, plan)) or refused
    return compare_plans(plan, replace(back, pooler=plan.pooler))


def _compare_parts(family: Family, plan: ModelPlan) -> Iterator[Difference]:
    """Yields the parts for which the plan and the family have different components."""
    composed = PlanValues(plan)
    for slot in SLOTS:
        ours, theirs = composed.get(f"{slot}.name"), family.base.get(slot, {}).get("name")
        if theirs is not None and {ours, theirs} - {"multi_head", "grouped_query"} and ours != theirs:
            yield Difference(slot, ours, theirs)


def iterate_misfits(plan: ModelPlan, origin: Origin) -> Iterator[tuple[Family, list[Difference]]]:
    """Yields each family with its misfits, in the order in which families are preferred.

    The model's own family is first, then Llama. Of the others, families of the same components precede those that have
    them in exceptional layers only, and within each group, families that equal another one are last.

    Args:
        plan: the model.
        origin: what the model was loaded from.
    """

    def rank(family: Family) -> tuple[bool, ...]:
        others = next(_compare_parts(family, plan), None) is not None
        return family.name != origin.family, family.name != "llama", others, family.alias_of is not None

    for family in sorted(get_families().values(), key=rank):
        yield family, find_misfits(family, plan, origin.get_architecture(family))


def find_fitting_family(plan: ModelPlan, origin: Origin) -> Family | None:
    """Returns the preferred family that the model fits; None if it fits none."""
    return next((family for family, wrong in iterate_misfits(plan, origin) if not wrong), None)
