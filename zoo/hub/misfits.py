"""Reasons why a model does not fit a published family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zoo.checks import Refused
from zoo.hub.config_json import read_published_config, write_published_config
from zoo.hub.config_views import PlanValues
from zoo.hub.family import Family, Form
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
