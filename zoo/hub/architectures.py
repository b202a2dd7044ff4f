"""Determines the architecture of a checkpoint: its class, and the modules on top of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.hub.config_views import PublishedConfig
from zoo.hub.family import Family, Form, is_pooler_rule
from zoo.hub.family_index import get_families
from zoo.hub.tensor_rules import Rule


def find_body_class(family: Family) -> str:
    """Returns the name of a family's class without any head."""
    return next(name for name, form in family.architectures.items() if not form.head and form.task is None)


def choose_architecture(family: Family, config: Mapping[str, Any], source: PublishedConfig) -> tuple[str, Form]:
    """Returns the class that config.json names, and its form; by default a class with a head.

    Classes of families with the same parts are accepted (``MT5…`` for T5), as are other spellings
    (``LLaMAForCausalLM``). Any other name stands for the family's class for the same task, as in the auto classes of
    transformers, unless ``auto_map`` refers to custom code.

    Args:
        family: the family of the config.
        config: content of config.json.
        source: the config being read, in which problems are recorded.
    """
    given = config.get("architectures")
    default = next((name, form) for name, form in family.architectures.items() if form.head)
    if not given and given in (None, []):
        return default
    relatives = [
        each for each in get_families().values() if _get_root(each) == _get_root(family) and each is not family
    ]
    known = {
        _normalize_class_name(name): (name, form)
        for each in (*relatives, family)
        for name, form in each.architectures.items()
    }
    if isinstance(given, list) and len(given) == 1 and isinstance(name := given[0], str):
        if (found := known.get(_normalize_class_name(name))) is not None:
            return found
        same_task = [each for each in family.architectures if _get_task_suffix(each) == _get_task_suffix(name)]
        if same_task and not config.get("auto_map"):
            return same_task[0], family.architectures[same_task[0]]
    source.refuse("architectures", f"must be one of {', '.join(family.architectures)}", given)
    return default


def _get_root(family: Family) -> str:
    return family.alias_of or family.name


def _normalize_class_name(name: str) -> str:
    """Normalizes the spelling of a class name."""
    return name.replace("_", "").lower()


def _get_task_suffix(name: str) -> str:
    """Returns ``ForCausalLM`` for ``LlamaForCausalLM``; a name without a task is returned unchanged."""
    begin = name.find("For")
    return name[begin:] if begin > 0 else name


def complete_form(family: Family, form: Form, names: Sequence[str] | None) -> Form:
    """Completes a form by the tensors: a pooler, and a task head that config.json does not mention.

    Args:
        family: the family of the checkpoint.
        form: the form according to config.json.
        names: names of the tensors; None if they are unknown.
    """
    if names is None:
        return form
    pooler = any(
        rule.theirs for rule in family.rules if is_pooler_rule(rule) and _has_tensor(rule, names, family.prefix)
    )
    heads = [each.task for each in family.architectures.values() if each.task is not None and each.head == form.head]
    complete = (head for head in heads if head.prefix is None and set(head.tensors) <= set(names))
    return form._replace(pooler=pooler, task=form.task or next(complete, None))


def _has_tensor(rule: Rule, names: Sequence[str], prefix: str) -> bool:
    begin = rule.theirs.split("*")[0]
    return any(name.startswith((begin, begin.removeprefix(prefix))) for name in names)
