"""Both sides of a config: a published config.json, option by option, and the model config that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo import limits
from zoo.checks import Refused, find_typo
from zoo.model.plan import LayerPlan, ModelPlan, Part, StackPlan
from zoo.registry.options import REQUIRED, Maybe, Scalar, Type

MAX_LAYERS = limits.OPTIONS["layers"]
"""Layers; each is made as an object before any weight is looked at, so that a wrong number must not cost minutes."""


class PublishedConfig:
    """A config.json that is being read: each option is taken by the key that understands it; the rest is ignored.

    Problems are collected, so that all of them are reported at once.

    Args:
        config: what the file says.
        name: of the file, for messages.
        tensors: names of those beside it; None where they are not known.
    """

    def __init__(
        self, config: Mapping[str, Any], name: str = "config.json", tensors: Sequence[str] | None = None
    ) -> None:
        self.name, self.tensors = name, tensors
        self.problems: list[str] = []
        self._config = dict(config)
        self._left = dict(config)
        self._known: list[str] = []
        self._ignored_inside: dict[str, str] = {}

    def take(self, key: str, kind: Type, default: Any = REQUIRED) -> Any:
        """The value of an option, checked; ``default`` where it is not there, or is null and may not be.

        A wrong value is a problem, and None stands in for it.
        """
        self._known.append(key)
        value = self._left.pop(key, None)
        if value is None and not (key in self._config and isinstance(kind, Maybe)):
            if default is REQUIRED:
                self.problems.append(f"{self.name}: {key} must be given ({kind})")
                return None
            return default
        found: list[str] = []
        value = kind.check(value, f"{self.name}: {key}", found)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > limits.INTEGER:
            found.append(f"{self.name}: {key} must be at most {limits.INTEGER}: got {value}")
        self.problems += found
        return None if found else value

    def take_any(self, key: str) -> Any:
        """Whatever an option says; None where it is not there."""
        self._known.append(key)
        return self._left.pop(key, None)

    def get(self, key: str) -> Any:
        """What an option says, left for who takes it."""
        return self._config.get(key)

    def refuse(self, key: str, rule: str, value: Any) -> None:
        """Note a problem of an option."""
        self.problems.append(f"{self.name}: {key} {rule}: got {value!r}")

    @property
    def taken(self) -> frozenset[str]:
        """Options that some key has asked for, whether or not the file has them."""
        return frozenset(self._known)

    def merge(self, inner: PublishedConfig, prefix: str) -> None:
        """Take over problems and ignored options of a mapping inside this config.

        Args:
            inner: the mapping as it was read.
            prefix: put before the names of its ignored options, as in ``rope_parameters.factr``.
        """
        self.problems += inner.problems
        self._ignored_inside |= {f"{prefix}.{key}": text for key, text in inner.find_ignored().items()}

    def find_ignored(self) -> dict[str, str]:
        """Options that no key asked for and that say something, each with the text that names it to a person."""
        found = {}
        for key in (key for key, value in self._left.items() if value is not None):
            near = find_typo(key, self._known)
            found[key] = f"{key} (did you mean {near}?)" if near else key
        return found | self._ignored_inside

    def raise_problems(self) -> None:
        """Refuse with all problems so far."""
        if self.problems:
            raise Refused("\n".join(dict.fromkeys(self.problems)))


class ConfigDraft:
    """A model's config that is being written, by dotted paths."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config: dict[str, Any] = _copied(config)

    def set(self, path: str, value: Any) -> None:
        """Write a value where its path says; mappings on the way are made."""
        *parents, last = path.split(".")
        node = self.config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value

    def get(self, path: str, default: Any = None) -> Any:
        """What is written there."""
        return _at(self.config, path, default)


class PlanValues:
    """A model's plan, read by the dotted paths of its config.

    Layer options are those of the last layer of the last stack: the rule, where the first layers are exceptions. Where
    some layers are mixtures of experts it is the last of these.
    """

    def __init__(self, plan: ModelPlan) -> None:
        self.plan = plan
        self._values = {
            "variant": plan.variant,
            "dim": plan.dim,
            "vocabulary": plan.vocabulary,
            "pooler": plan.pooler,
            "embedding": plan.embedding,
            "head": plan.head,
            "initialization": {"name": plan.initialization.name, **plan.initialization.options},
            **_get_stack_values(plan.stacks[-1]),
            **{stack.name: _get_stack_values(stack) for stack in plan.stacks},
        }

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a path, or the default where no part has such an option."""
        return _at(self._values, path, default)

    def list_layers(self, stack: str | None = None) -> list[dict[str, Any]]:
        """The values of each layer of a stack, or of the last."""
        chosen = next((each for each in self.plan.stacks if each.name == stack), self.plan.stacks[-1])
        return [get_layer_values(layer) for layer in chosen.layers]


def get_layer_values(layer: LayerPlan) -> dict[str, Any]:
    """A layer as plain values, parts with their names and options."""
    parts = {slot: getattr(layer, slot) for slot in ("attention", "ffn", "norm", "position", "residual")}
    sizes = {name: getattr(layer, name) for name in ("dim", "heads", "head_dim", "hidden", "dropout")}
    return {**sizes, **{slot: get_part_values(part) for slot, part in parts.items()}}


def get_part_values(part: Part) -> dict[str, Any]:
    """A part as its config says it."""
    return {"name": part.name, **part.options}


def _get_stack_values(stack: StackPlan) -> dict[str, Any]:
    mixtures = [layer for layer in stack.layers if layer.ffn.name == "moe"]
    values = get_layer_values((mixtures or stack.layers)[-1])
    values |= {"layers": len(stack.layers), "distinct_layers": stack.distinct, "input_norm": stack.input_norm}
    return values if stack.cross is None else {**values, "cross": get_part_values(stack.cross)}


def _at(node: Any, path: str, default: Any) -> Any:
    for step in path.split("."):
        if not isinstance(node, Mapping) or step not in node:
            return default
        node = node[step]
    return node


def _copied(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in config.items()}


INT, FLOAT, BOOL, STR = Scalar(int), Scalar(float), Scalar(bool), Scalar(str)
