"""A published family: its config.json and its tensors as tables that are read in both directions."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from zoo.checks import Refused, suggest
from zoo.hub.common_keys import COMMON, SHARED
from zoo.hub.config_sides import Composed, Draft, Source
from zoo.hub.keys import Idle, Key
from zoo.hub.plan_difference import Difference, differences
from zoo.hub.quantization import Quantization, read_quantization
from zoo.hub.task_heads import SCORE, KeptHead, TaskHead, linear
from zoo.hub.tensor_rules import Rule
from zoo.hub.text_config import names_inside, unwrap
from zoo.model.build import check
from zoo.model.plan import ModelPlan
from zoo.model.schema import SLOTS


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


def decoder_classes(stem: str, *, body: str | None = None, answers: str | None = None) -> dict[str, Form]:
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
        f"{stem}ForTokenClassification": Form(head=False, task=TaskHead(linear("score"))),
        f"{stem}ForQuestionAnswering": Form(head=False, task=TaskHead(linear("qa_outputs", 2), prefix=answers)),
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
    def idle(self) -> frozenset[str]:
        """Names of its options that change nothing of what a model computes."""
        return frozenset(name for key in (*COMMON, *self.keys) if isinstance(key, Idle) for name in key.theirs)

    def architecture(self, form: Form) -> str | None:
        """The class for a form; None where the family has none.

        Beside another head, a pooler is no hindrance: published checkpoints have both, and each class reads what it
        knows.
        """
        pools = any(map(_is_pooler, self.rules)) and (form.head or form.task is not None)
        forms = [form, form._replace(pooler=False)] if pools else [form]
        return next((name for each in forms for name, known in self.architectures.items() if known == each), None)


def alias(
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


@dataclass(frozen=True)
class Described:
    """What a config.json says.

    Args:
        family: whose it is.
        plan: the model.
        kept: its options that change nothing of what the model computes.
        ignored: its options that neither the family nor transformers reads, each as it is named to a person.
        quantization: how the weights are stored; None where they are plain.
        task: its task head, which is no part of the model.
        beginnings: how names of tensors begin in this checkpoint, and how they do in others of the family.
        published_head: the head that the family's models have, as a model config, also where this one has none.
        outside: the ``model_type`` of a model of several modalities, of which this is the language model.
    """

    family: Family
    plan: ModelPlan
    kept: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    quantization: Quantization | None = None
    task: KeptHead | None = None
    beginnings: Mapping[str, str] = field(default_factory=dict)
    published_head: Mapping[str, Any] = field(default_factory=dict)
    outside: str | None = None

    def notes(self) -> list[str]:
        """What a person should know beside the model, one line each."""
        notes = []
        if self.outside is not None:
            name = self.family.name
            notes.append(f"of this {self.outside}, only the language model is read, as {name}; it is saved as {name}")
        if self.ignored:
            notes.append(f"ignored, for no part of {self.family.name} reads them: {', '.join(self.ignored)}")
        if self.quantization is not None:
            notes.append(f"the weights are quantized ({self.quantization}); what is said here is of plain ones")
        return notes


@functools.cache
def families() -> dict[str, Family]:
    """All families by their ``model_type``, in alphabetical order."""
    from zoo.hub import converters as folder

    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(folder.__path__)):
        family = getattr(importlib.import_module(f"{folder.__name__}.{module}"), "FAMILY", None)
        if isinstance(family, Family):
            found[family.name] = family
    return found


def find_family(name: Any) -> Family:
    """The family of a ``model_type``.

    Raises:
        Refused: if there is none, with the near miss.
    """
    if not isinstance(name, str) or name not in families():
        raise Refused(f"unknown model_type {name!r}: {suggest(str(name), families())}")
    return families()[name]


def read(config: Mapping[str, Any], names: Sequence[str] | None = None) -> Described:
    """What a config.json of a published family says.

    Args:
        config: its content.
        names: of the tensors beside it, which tell what an architecture leaves open.
    Raises:
        Refused: with all that is wrong with it, one a line: a family that is not known, a value that does not make
            sense or that no component computes.
    """
    wrapped = unwrap(config, {name: _body_class(family) for name, family in families().items()})
    config = config if wrapped is None else wrapped.config
    family = find_family(config.get("model_type"))
    names = names if wrapped is None or names is None else list(names_inside(names, family.prefix))
    source, draft = Source(config, tensors=names), Draft(family.base)
    _take(family, source, draft)
    quantization = read_quantization(source)
    architecture, form = choose_architecture(family, config, source)
    form = _with_what_is_there(family, form, names)
    published_head = draft.config.get("head") or {}
    if not form.head:
        draft.config["head"] = None
    if form.pooler:
        draft.config["pooler"] = True
    source.require_sound()
    _, plan, problems = check(draft.config)
    if problems or plan is None:
        raise Refused("\n".join(f"config.json describes no model: {line}" for line in problems))
    ignored = source.ignored()
    kept = (family.idle | set(ignored)) - {"auto_map"}  # auto_map names code, which neither runs here nor travels
    options = {name: value for name, value in config.items() if name in kept}
    task, head = form.task, None if form.task is None else KeptHead(architecture, form.task.shapes(config, plan.dim))
    beginnings = {} if task is None or task.prefix is None else {task.prefix: family.prefix}
    outside = None if wrapped is None else wrapped.outside
    return Described(
        family, plan, options, tuple(ignored.values()), quantization, head, beginnings, published_head, outside
    )


def _body_class(family: Family) -> str:
    """The name of a family's class without any head."""
    return next(name for name, form in family.architectures.items() if not form.head and form.task is None)


def choose_architecture(family: Family, config: Mapping[str, Any], source: Source) -> tuple[str, Form]:
    """The class that config.json names, and what stands on the body in it; by default a class with a head.

    Classes of families with the same parts are classes of this one (``MT5…`` of T5), and names may be spelled
    otherwise (``LLaMAForCausalLM``). Any other name means the family's class for the same task, as it does to the
    auto classes of transformers, unless ``auto_map`` says that it is code of its own.
    """
    given = config.get("architectures")
    default = next((name, form) for name, form in family.architectures.items() if form.head)
    if not given and given in (None, []):
        return default
    relatives = [each for each in families().values() if _root(each) == _root(family) and each is not family]
    known = {_spelled(name): (name, form) for each in (*relatives, family) for name, form in each.architectures.items()}
    if isinstance(given, list) and len(given) == 1 and isinstance(name := given[0], str):
        if (found := known.get(_spelled(name))) is not None:
            return found
        same_task = [each for each in family.architectures if _task_of(each) == _task_of(name)]
        if same_task and not config.get("auto_map"):
            return same_task[0], family.architectures[same_task[0]]
    source.refuse("architectures", f"must be one of {', '.join(family.architectures)}", given)
    return default


def _root(family: Family) -> str:
    return family.alias_of or family.name


def _spelled(name: str) -> str:
    """A class's name without what differs between spellings of it."""
    return name.replace("_", "").lower()


def _task_of(name: str) -> str:
    """``ForCausalLM`` of ``LlamaForCausalLM``; a name that says no task is its own."""
    begin = name.find("For")
    return name[begin:] if begin > 0 else name


def understood(family: Family) -> frozenset[str]:
    """Names of the options that a family's keys read; any other is ignored."""
    source = Source({"architectures": None})
    _take(family, source, Draft(family.base))
    return source.taken


def _take(family: Family, source: Source, draft: Draft) -> None:
    """Let every key of a family read what it understands."""
    for key in (*COMMON, *family.keys):
        key.read(source, draft)
    for shared in SHARED if family.base["variant"] == "decoder" else ():
        if shared.theirs not in source.taken:
            shared.read(source, draft)


def _with_what_is_there(family: Family, form: Form, names: Sequence[str] | None) -> Form:
    """A form as the tensors say it: whether there is a pooler, and a task head of which config.json is silent.

    Args:
        family: whose tensors they are.
        form: what config.json says.
        names: of the tensors; None where they are not known.
    """
    if names is None:
        return form
    pooler = any(rule.theirs for rule in family.rules if _is_pooler(rule) and _found(rule, names, family.prefix))
    heads = [each.task for each in family.architectures.values() if each.task is not None and each.head == form.head]
    there = (head for head in heads if head.prefix is None and set(head.tensors) <= set(names))
    return form._replace(pooler=pooler, task=form.task or next(there, None))


def _is_pooler(rule: Rule) -> bool:
    return rule.patterns[0].startswith("pooler.")


def _found(rule: Rule, names: Sequence[str], prefix: str) -> bool:
    begin = rule.theirs.split("*")[0]
    return any(name.startswith((begin, begin.removeprefix(prefix))) for name in names)


def write(family: Family, plan: ModelPlan, kept: Mapping[str, Any], architecture: str | None = None) -> dict[str, Any]:
    """The config.json of a plan that fits a family.

    Args:
        family: whose it shall be.
        plan: of a model that fits.
        kept: options that change nothing of what the model computes; one that a key of the family reads is left out.
        architecture: the class; None for the one that the form of the model says.
    """
    composed = Composed(plan)
    theirs: dict[str, Any] = {
        **{name: value for name, value in kept.items() if name in family.idle},
        "model_type": family.name,
        "architectures": [architecture or family.architecture(Form(plan.head is not None, plan.pooler))],
    }
    for key in family.keys:
        key.write(composed, theirs)
    _take(family, source := Source(theirs), Draft(family.base))
    return {**{name: value for name, value in kept.items() if name not in source.taken}, **theirs}


def misfits(family: Family, plan: ModelPlan, task: str | None = None) -> list[Difference]:
    """What of a plan a family cannot say; nothing where it fits.

    A config.json is written for the plan and read again: what comes back is what the family can say.

    Args:
        family: whose it shall be.
        plan: of a model.
        task: the family's class with the task head that is written beside the model; None where there is none.
    """
    form = Form(plan.head is not None, plan.pooler)
    if task is None and family.architecture(form) is None:
        known = ", ".join(family.architectures)
        return [Difference("head", "head and pooler" if form.head else "no head", f"one of {known}")]
    variant = str(family.base["variant"])
    if variant != plan.variant:
        return [Difference("variant", plan.variant, variant)]
    try:
        back = read(write(family, plan, {}, task)).plan
    except Refused as error:
        refused = [Difference("config.json", "what this model needs", line) for line in str(error).splitlines()]
        return list(_other_parts(family, plan)) or refused
    return differences(plan, replace(back, pooler=plan.pooler))


def _other_parts(family: Family, plan: ModelPlan) -> Iterator[Difference]:
    """The parts of the rule that are other components than the family's."""
    composed = Composed(plan)
    for slot in SLOTS:
        ours, theirs = composed.get(f"{slot}.name"), family.base.get(slot, {}).get("name")
        if theirs is not None and {ours, theirs} - {"multi_head", "grouped_query"} and ours != theirs:
            yield Difference(slot, ours, theirs)
