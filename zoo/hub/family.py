"""Declarative description of a published family, used for reading and for writing its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from zoo.hub.common_keys import COMMON
from zoo.hub.constant_keys import Passthrough
from zoo.hub.keys import Key
from zoo.hub.task_heads import SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Rule


class Form(NamedTuple):
    """The modules of an architecture on top of its body.

    Args:
        head: whether it has a language-model head.
        pooler: whether it has a pooler.
        task: a task head, which is not part of our model and is kept beside it.
    """

    head: bool
    pooler: bool = False
    task: TaskHead | None = None


def list_decoder_classes(stem: str, *, body: str | None = None, answers: str | None = None) -> dict[str, Form]:
    """Lists the architectures that transformers has for most decoders.

    Args:
        stem: prefix of their names.
        body: name of the architecture without a head; None for the stem followed by ``Model``.
        answers: prefix of the body's tensors in the architecture for question answering, if it differs.
    """
    return {
        f"{stem}ForCausalLM": Form(head=True),
        body or f"{stem}Model": Form(head=False),
        f"{stem}ForSequenceClassification": Form(head=False, task=SCORE),
        f"{stem}ForTokenClassification": Form(head=False, task=TaskHead(describe_linear("score"))),
        f"{stem}ForQuestionAnswering": Form(
            head=False, task=TaskHead(describe_linear("qa_outputs", 2), prefix=answers)
        ),
    }


@dataclass(frozen=True)
class Family:
    """Description of a published family.

    Args:
        name: its ``model_type``.
        architectures: the names of its classes, with the modules of each on top of the body.
        base: the part of the model config that all its models share.
        keys: the meaning of its options; a key may refer to earlier ones.
        rules: the mapping of its tensors to ours, with names as in an architecture with a head.
        prefix: prefix of the body's tensors in an architecture with a head.
        repeated: patterns of duplicates of tied tensors, with the name of the original.
        left_out: patterns of tensors that our model does not need, with the reason to report; empty for no report.
        zero: patterns of tensors that must be zero, since no component adds them.
        alias_of: the family with the same parts, if this one is written only for models that were loaded as it.
        older: suffixes of tensor names in older checkpoints, and their replacements.
    """

    name: str
    architectures: Mapping[str, Form]
    base: Mapping[str, Any]
    keys: Sequence[Key]
    rules: Sequence[Rule]
    prefix: str = ""
    repeated: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    zero: tuple[str, ...] = ()
    alias_of: str | None = None
    older: Mapping[str, str] = field(default_factory=dict)

    @property
    def passthrough(self) -> frozenset[str]:
        """Names of the options that do not affect what a model computes."""
        return frozenset(name for key in (*COMMON, *self.keys) if isinstance(key, Passthrough) for name in key.theirs)

    def find_architecture(self, form: Form) -> str | None:
        """Returns the name of the class with a form; None if the family has none.

        If there is a head too, a class without a pooler also matches: published checkpoints contain both, and each
        class loads the tensors that it knows.
        """
        pools = any(map(is_pooler_rule, self.rules)) and (form.head or form.task is not None)
        forms = [form, form._replace(pooler=False)] if pools else [form]
        return next((name for each in forms for name, known in self.architectures.items() if known == each), None)


def rename_family(
    family: Family, name: str, stem: tuple[str, str], keys: Sequence[Key] | None = None, prefix: str | None = None
) -> Family:
    """Returns a family with the same parts under other names.

    Args:
        family: the original family.
        name: ``model_type`` of the new family.
        stem: prefix of the class names in the original family and in the new one.
        keys: keys of the new family, if its defaults differ.
        prefix: prefix of the body's tensors in the new family, if it differs.
    """
    old, new = family.prefix, family.prefix if prefix is None else prefix

    def moved(theirs: str) -> str:
        return new + theirs.removeprefix(old) if theirs.startswith(old) else theirs

    return replace(
        family,
        name=name,
        architectures={stem[1] + each.removeprefix(stem[0]): form for each, form in family.architectures.items()},
        keys=family.keys if keys is None else keys,
        rules=[replace(rule, theirs=moved(rule.theirs)) for rule in family.rules],
        repeated={moved(each): moved(original) for each, original in family.repeated.items()},
        prefix=new,
        alias_of=family.name,
    )


def is_pooler_rule(rule: Rule) -> bool:
    """True for a rule about the pooler."""
    return rule.patterns[0].startswith("pooler.")
