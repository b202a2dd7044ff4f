"""Keys for mixtures of experts in published configs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import INT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Equal, Key, Synonyms
from zoo.registry.options import REQUIRED, Many, Maybe

MAX_EXPERTS = 4096
"""Maximum number of experts; each has its own tensor names, so a wrong number must not cost memory."""


def map_experts(theirs: str, default: int, *also: str) -> Synonyms:
    """Maps the number of experts, under its name or a synonym."""
    return Synonyms(Equal(theirs, "ffn.experts", default=default, most=MAX_EXPERTS), also)


@final
@dataclass(frozen=True)
class Dropped(Key):
    """An option about a part that our models do not have; saved configs say that it is absent.

    Args:
        theirs: name of the option.
        none: its value if the part is absent.
        also: synonyms, which are not written.
    """

    theirs: str
    none: Any
    also: tuple[str, ...] = ()

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Takes the option under any of its names, without using it."""
        for name in (self.theirs, *self.also):
            theirs.take_any(name)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes that the part is absent."""
        theirs[self.theirs] = self.none


@final
@dataclass(frozen=True)
class ExpertGroups(Key):
    """Expert groups (``n_group``): a token is routed only to experts of the best groups (``topk_group``).

    Args:
        score: ``group_score`` of the router.
        groups: default of ``n_group``.
        top: default of ``topk_group``.
        method: name of the option that turns groups on (``group_limited_greedy``) or off (``greedy``); None if they
            are always on.
    """

    score: str
    groups: int = 1
    top: int = 1
    method: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the groups of the router; a single group means no groups."""
        groups, top = theirs.take("n_group", INT, self.groups), theirs.take("topk_group", INT, self.top)
        if self.method is not None:
            method = theirs.take(self.method, STR, "greedy")
            if method not in (None, "greedy", "group_limited_greedy"):
                theirs.refuse(self.method, "must be greedy or group_limited_greedy", method)
            if method == "greedy":
                groups, top = 1, 1
        ours.set("ffn.router.groups", groups)
        ours.set("ffn.router.top_groups", top)
        ours.set("ffn.router.group_score", self.score if groups is not None and groups > 1 else "max")

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes both numbers, and the method."""
        theirs["n_group"], theirs["topk_group"] = ours.get("ffn.router.groups"), ours.get("ffn.router.top_groups")
        if self.method is not None:
            theirs[self.method] = "greedy" if theirs["n_group"] == 1 else "group_limited_greedy"


# --------------------------------------------------------------------------------------- dense layers among mixtures


@dataclass(frozen=True)
class DenseLayers(Key):
    """Layers with a dense feed-forward in place of a mixture, and its width; must be read after the sizes.

    Args:
        width: name of the option with the width.
        default: default of the width.
    """

    width: str = "intermediate_size"
    default: Any = REQUIRED

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Adds an exception for the dense layers."""
        width, count = theirs.take(self.width, INT, self.default), ours.get("layers")
        mixtures = self.find_mixtures(theirs, count or 0)
        if theirs.problems or count is None:
            return
        if dense := sorted(set(range(count)) - set(mixtures)):
            perceptron = {"name": "gated", "activation": ours.get("ffn.activation")}
            ours.set("exceptions.dense", {"at": dense, "hidden": width, "ffn": perceptron})

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the layers with mixtures, and the width if there are dense layers."""
        layers = ours.list_layers()
        dense = [number for number, layer in enumerate(layers) if layer["ffn"]["name"] == "gated"]
        if dense:
            theirs[self.width] = layers[dense[0]]["hidden"]
        theirs.update(
            self.describe_mixtures([number for number in range(len(layers)) if number not in dense], len(layers))
        )

    @abstractmethod
    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """Reads which of ``layers`` layers have mixtures."""

    @abstractmethod
    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """Returns the options that describe the layers with mixtures, as far as the family can express them."""


@final
@dataclass(frozen=True)
class FirstLayersDense(DenseLayers):
    """``first_k_dense_replace``: the number of dense layers, which come first.

    Args:
        first: default of the number.
    """

    first: int = 0

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """Returns the layers after the dense ones."""
        first = theirs.take("first_k_dense_replace", INT, self.first) or 0
        if first < 0:
            theirs.refuse("first_k_dense_replace", "must not be negative", first)
        return range(first, layers)

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """Returns the number of dense layers."""
        return {"first_k_dense_replace": layers - len(mixtures)}


@final
@dataclass(frozen=True)
class MixtureStep(DenseLayers):
    """Mixtures in every ``decoder_sparse_step``-th layer, except in ``mlp_only_layers``."""

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """Reads both options."""
        step = theirs.take("decoder_sparse_step", INT, 1)
        dense = theirs.take("mlp_only_layers", Maybe(Many(INT)), None) or ()
        if step is not None and step < 1:
            theirs.refuse("decoder_sparse_step", "must be positive", step)
        if theirs.problems:
            return ()
        return [layer for layer in range(step - 1, layers, step) if layer not in dense]

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """Returns the dense layers as a list."""
        dense = [layer for layer in range(layers) if layer not in mixtures]
        return {"decoder_sparse_step": 1, "mlp_only_layers": dense}


@final
@dataclass(frozen=True)
class MixtureRange(DenseLayers):
    """Mixtures in every ``moe_layer_interval``-th layer, from a first to a last layer (ERNIE)."""

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """Reads the three options; -1 stands for the last layer."""
        begin, end = theirs.take("moe_layer_start_index", INT, 1), theirs.take("moe_layer_end_index", INT, -1)
        step = theirs.take("moe_layer_interval", INT, 1)
        if step is not None and step < 1:
            theirs.refuse("moe_layer_interval", "must be positive", step)
        if theirs.problems:
            return ()
        end = layers - 1 if end == -1 else end
        return [layer for layer in range(step - 1, layers, step) if begin <= layer <= end]

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """Returns the first and the last layer with a mixture, and the distance of the first two."""
        if not mixtures:
            return {}
        step = mixtures[1] - mixtures[0] if len(mixtures) > 1 else 1
        return {
            "moe_layer_start_index": mixtures[0],
            "moe_layer_end_index": mixtures[-1],
            "moe_layer_interval": step,
        }
