"""A published family: its config.json and its tensors as tables that are read in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from zoo.hub.common_keys import COMMON
from zoo.hub.keys import Key, Passthrough
from zoo.hub.task_heads import SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Rule


class Form(NamedTuple):
    """What stands on a body: a head that gives logits, and a pooler.

    Args:
        head: whether there are logits.
        pooler: whether there is one.
        task: a further head that no part of ours is; it is kept beside the model.
    """

    head: bool
    pooler: bool = False
    task: TaskHead | None = None


def list_decoder_classes(stem: str, *, body: str | None = None, answers: str | None = None) -> dict[str, Form]:
    """The classes that transformers makes for most decoders.

    Args:
        stem: what their names begin with.
        body: the name of the one without a head; None: ``Model`` behind the stem.
        answers: what names of the body's tensors begin with in the one that answers questions, if that is of its own.
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
    """What a published family is made of.

    Args:
        name: its ``model_type``.
        architectures: names of its classes, and what stands on the body in each.
        base: what is the same in all its models, as a model config.
        keys: what its options mean; later ones may refer to earlier ones.
        rules: which of its tensors are ours, named as in an architecture with a head.
        prefix: what names of the body's tensors begin with in an architecture with a head.
        repeated: patterns of tensors that repeat a tied one, with the name of the one that they repeat.
        left_out: patterns of tensors that no part of ours needs, with the reason.
        zero: patterns of tensors that no part of ours adds, so that they must be zero.
        alias_of: the family that has the same parts, if this one is written only where a model came from it.
        older: how names of tensors end in older checkpoints, and what stands there now.
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
        """Names of its options that change nothing of what a model computes."""
        return frozenset(name for key in (*COMMON, *self.keys) if isinstance(key, Passthrough) for name in key.theirs)

    def find_architecture(self, form: Form) -> str | None:
        """The class for a form; None where the family has none.

        Beside another head, a pooler is no hindrance: published checkpoints have both, and each class reads what it
        knows.
        """
        pools = any(map(is_pooler_rule, self.rules)) and (form.head or form.task is not None)
        forms = [form, form._replace(pooler=False)] if pools else [form]
        return next((name for each in forms for name, known in self.architectures.items() if known == each), None)


def rename_family(
    family: Family, name: str, stem: tuple[str, str], keys: Sequence[Key] | None = None, prefix: str | None = None
) -> Family:
    """A family of the same parts under other names.

    Args:
        family: that has the parts.
        name: the other ``model_type``.
        stem: what names of its classes begin with, and what those of the other begin with.
        keys: of the other, where defaults differ.
        prefix: what names of the body's tensors begin with in the other, if that differs.
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
