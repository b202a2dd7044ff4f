"""Mixtures of experts as published configs say them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import INT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Equal, Key, Synonyms
from zoo.registry.options import REQUIRED, Many, Maybe

MAX_EXPERTS = 4096
"""Experts of a layer; each has names of its own, so that a wrong number must not cost memory."""


def map_experts(theirs: str, default: int, *also: str) -> Synonyms:
    """The number of experts, under its name and others."""
    return Synonyms(Equal(theirs, "ffn.experts", default=default, most=MAX_EXPERTS), also)


@final
@dataclass(frozen=True)
class Dropped(Key):
    """An option about a part that is left out here: whatever it says, what is saved says that there is none.

    Args:
        theirs: its name.
        none: its value where there is none.
        also: its other names, which are not written.
    """

    theirs: str
    none: Any
    also: tuple[str, ...] = ()

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Take it, under any of its names."""
        for name in (self.theirs, *self.also):
            theirs.take_any(name)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """There is none."""
        theirs[self.theirs] = self.none


@final
@dataclass(frozen=True)
class ExpertGroups(Key):
    """Experts in groups (``n_group``), of which a token chooses among the best (``topk_group``).

    Args:
        score: that of a group, as the router calls it.
        groups: what no ``n_group`` means.
        top: what no ``topk_group`` means.
        method: the option that says whether groups limit the choice (``greedy`` or ``group_limited_greedy``); None
            where they always do.
    """

    score: str
    groups: int = 1
    top: int = 1
    method: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """One group is none."""
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
        """The same numbers."""
        theirs["n_group"], theirs["topk_group"] = ours.get("ffn.router.groups"), ours.get("ffn.router.top_groups")
        if self.method is not None:
            theirs[self.method] = "greedy" if theirs["n_group"] == 1 else "group_limited_greedy"


# --------------------------------------------------------------------------------------- dense layers among mixtures


@dataclass(frozen=True)
class DenseLayers(Key):
    """Which layers have one perceptron in place of a mixture, and how wide it is; read after what all say.

    Args:
        width: the option with the width.
        default: of the width.
    """

    width: str = "intermediate_size"
    default: Any = REQUIRED

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """An exception for these layers."""
        width, count = theirs.take(self.width, INT, self.default), ours.get("layers")
        mixtures = self.find_mixtures(theirs, count or 0)
        if theirs.problems or count is None:
            return
        if dense := sorted(set(range(count)) - set(mixtures)):
            perceptron = {"name": "gated", "activation": ours.get("ffn.activation")}
            ours.set("exceptions.dense", {"at": dense, "hidden": width, "ffn": perceptron})

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Where there is no dense layer, no width."""
        layers = ours.list_layers()
        dense = [number for number, layer in enumerate(layers) if layer["ffn"]["name"] == "gated"]
        if dense:
            theirs[self.width] = layers[dense[0]]["hidden"]
        theirs.update(
            self.describe_mixtures([number for number in range(len(layers)) if number not in dense], len(layers))
        )

    @abstractmethod
    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """The layers with mixtures, of so many."""

    @abstractmethod
    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """The options that say so, as far as they can."""


@final
@dataclass(frozen=True)
class FirstLayersDense(DenseLayers):
    """The first layers are dense: ``first_k_dense_replace``.

    Args:
        first: how many, where nothing says it.
    """

    first: int = 0

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """All after them."""
        first = theirs.take("first_k_dense_replace", INT, self.first) or 0
        if first < 0:
            theirs.refuse("first_k_dense_replace", "must not be negative", first)
        return range(first, layers)

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """How many."""
        return {"first_k_dense_replace": layers - len(mixtures)}


@final
@dataclass(frozen=True)
class MixtureStep(DenseLayers):
    """The last of each ``decoder_sparse_step`` layers has a mixture, but for ``mlp_only_layers``."""

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """By both options."""
        step = theirs.take("decoder_sparse_step", INT, 1)
        dense = theirs.take("mlp_only_layers", Maybe(Many(INT)), None) or ()
        if step is not None and step < 1:
            theirs.refuse("decoder_sparse_step", "must be positive", step)
        if theirs.problems:
            return ()
        return [layer for layer in range(step - 1, layers, step) if layer not in dense]

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """As a list."""
        dense = [layer for layer in range(layers) if layer not in mixtures]
        return {"decoder_sparse_step": 1, "mlp_only_layers": dense}


@final
@dataclass(frozen=True)
class MixtureRange(DenseLayers):
    """The last of each ``moe_layer_interval`` layers has a mixture, from a first to a last layer (ERNIE)."""

    def find_mixtures(self, theirs: PublishedConfig, layers: int) -> Sequence[int]:
        """By three options; a last layer of -1 is the last there is."""
        begin, end = theirs.take("moe_layer_start_index", INT, 1), theirs.take("moe_layer_end_index", INT, -1)
        step = theirs.take("moe_layer_interval", INT, 1)
        if step is not None and step < 1:
            theirs.refuse("moe_layer_interval", "must be positive", step)
        if theirs.problems:
            return ()
        end = layers - 1 if end == -1 else end
        return [layer for layer in range(step - 1, layers, step) if begin <= layer <= end]

    def describe_mixtures(self, mixtures: Sequence[int], layers: int) -> dict[str, Any]:
        """From the first to the last, by the step between the first two."""
        if not mixtures:
            return {}
        step = mixtures[1] - mixtures[0] if len(mixtures) > 1 else 1
        return {
            "moe_layer_start_index": mixtures[0],
            "moe_layer_end_index": mixtures[-1],
            "moe_layer_interval": step,
        }
