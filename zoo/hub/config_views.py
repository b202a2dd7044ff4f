"""Access to configs by option: a published config.json, a model config under construction, and a model's plan."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from zoo import limits
from zoo.checks import Refused, find_typo
from zoo.model.plan import LayerPlan, ModelPlan, Part, StackPlan
from zoo.model.schema import SLOTS
from zoo.registry.options import REQUIRED, Maybe, Scalar, Type
from zoo.system.nested import get_nested

MAX_LAYERS = limits.OPTIONS["layers"]
"""Maximum number of layers; layers are built before weights are checked, so a wrong number must not cost minutes."""


class PublishedConfig:
    """A config.json that is being read: each option is taken by the key that knows it, and the rest is ignored.

    Problems are collected, so that all of them are reported at once.

    Args:
        config: content of the file.
        name: name of the file, for messages.
        tensors: names of the checkpoint's tensors; None if they are unknown.
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
        """Takes an option and checks its type.

        Returns:
            the value; ``default`` if the option is absent, or is null although ``kind`` does not allow it; None if
            the value is wrong, which is recorded as a problem.
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
        """Takes an option of any type; returns None if it is absent."""
        self._known.append(key)
        return self._left.pop(key, None)

    def get(self, key: str) -> Any:
        """Returns the value of an option without taking it; None if it is absent."""
        return self._config.get(key)

    def refuse(self, key: str, rule: str, value: Any) -> None:
        """Records a problem with an option."""
        self.problems.append(f"{self.name}: {key} {rule}: got {value!r}")

    @property
    def taken(self) -> frozenset[str]:
        """Names of the options that any key has asked for, even if the file does not have them."""
        return frozenset(self._known)

    def merge(self, inner: PublishedConfig, prefix: str) -> None:
        """Merges problems and ignored options of a nested mapping.

        Args:
            inner: the nested mapping, after it was read.
            prefix: prefix for the names of its ignored options, as in ``rope_parameters.factr``.
        """
        self.problems += inner.problems
        self._ignored_inside |= {f"{prefix}.{key}": text for key, text in inner.find_ignored().items()}

    def find_ignored(self) -> dict[str, str]:
        """Finds the options that no key asked for and that are not null, each with its text for messages."""
        found = {}
        for key in (key for key, value in self._left.items() if value is not None):
            near = find_typo(key, self._known)
            found[key] = f"{key} (did you mean {near}?)" if near else key
        return found | self._ignored_inside

    def raise_problems(self) -> None:
        """Raises :class:`Refused` with all problems so far, if any."""
        if self.problems:
            raise Refused("\n".join(dict.fromkeys(self.problems)))


class ConfigDraft:
    """A model config under construction, accessed by dotted paths."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config: dict[str, Any] = copy.deepcopy(dict(config))

    def set(self, path: str, value: Any) -> None:
        """Sets the value at a path, creating nested mappings as needed."""
        *parents, last = path.split(".")
        node = self.config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value

    def get(self, path: str, default: Any = None) -> Any:
        """Returns the value at a path, or the default if there is none."""
        return get_nested(self.config, path, default)


class PlanValues:
    """The values of a model's plan, accessed by the dotted paths of its config.

    Layer options are those of the last layer of the last stack, since the first layers are often exceptions. If some
    layers are mixtures of experts, they are those of the last mixture.
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
        """Returns the value at a path, or the default if no part has such an option."""
        return get_nested(self._values, path, default)

    def list_layers(self, stack: str | None = None) -> list[dict[str, Any]]:
        """Returns the values of each layer of a stack, by default the last one."""
        chosen = next((each for each in self.plan.stacks if each.name == stack), self.plan.stacks[-1])
        return [get_layer_values(layer) for layer in chosen.layers]


def get_layer_values(layer: LayerPlan) -> dict[str, Any]:
    """Returns the options of a layer, and the names and options of its parts."""
    parts = {slot: getattr(layer, slot) for slot in SLOTS}
    sizes = {name: getattr(layer, name) for name in ("dim", "heads", "head_dim", "hidden", "dropout")}
    return {**sizes, **{slot: get_part_values(part) for slot, part in parts.items()}}


def get_part_values(part: Part) -> dict[str, Any]:
    """Returns the config of a part."""
    return {"name": part.name, **part.options}


def _get_stack_values(stack: StackPlan) -> dict[str, Any]:
    mixtures = [layer for layer in stack.layers if layer.ffn.name == "moe"]
    values = get_layer_values((mixtures or stack.layers)[-1])
    values |= {"layers": len(stack.layers), "distinct_layers": stack.distinct, "input_norm": stack.input_norm}
    return values if stack.cross is None else {**values, "cross": get_part_values(stack.cross)}


INT, FLOAT, BOOL, STR = Scalar(int), Scalar(float), Scalar(bool), Scalar(str)
