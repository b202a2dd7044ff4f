"""Forecast of a training step on many devices, on paper: memory, traffic and time of each device.

With D data-parallel groups of which F share parameters, T tensor-parallel, E expert-parallel and S pipeline devices, L
layers of width d, n tokens of a group in a step, in m micro-batches (bfloat16 and Adam):

    dense parameters       u = dense / (T S) are used by a device and u / F held
    experts                u = experts / (T S E) used, u / F' held with F' = max(1, F / E)
    states                 2 + 2 bytes for each weight held and its gradient, 12 for float32 weight and two moments
    data parallelism       3 m (F - 1) / F · 2 u (gathered twice, reduced once) and 2 (R - 1) / R · 2 u / F among the
                           R = D / F replicas of a share; for experts with F' and R = D / (E F')
    tensor parallelism     4 L / S sums of 2 n d bytes, each 2 (T - 1) / T of it (Shoeybi et al. 2019, arXiv:1909.08053)
    expert parallelism     4 exchanges for each mixture, of top_k · 2 n d bytes, each (E - 1) / E of it
    pipeline               2 · 2 n d; (S - 1) / (m + S - 1) of the time is idle

Sources: Rajbhandari et al. 2020 (arXiv:1910.02054), Narayanan et al. 2021 (arXiv:2104.04473).
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.checks import require, require_divides, require_positive
from zoo.components.ffn.moe import Moe
from zoo.model.cost import compute_cost
from zoo.model.footprint import measure_activations
from zoo.model.variants.variant import Variant

_WEIGHT = 2  # bytes of a weight, a gradient or an activation in bfloat16
_OPTIMIZER = 12  # bytes of a weight and two moments in float32


@dataclass(frozen=True)
class Device:
    """A device and its links; defaults are those of an H100 SXM with NVLink and a 400 Gb/s network.

    Args:
        memory: bytes.
        flops: dense bfloat16 operations per second at peak.
        efficiency: share of the peak that a training reaches.
        fast: bytes per second to devices of the same machine, in each direction.
        slow: bytes per second to other machines.
        together: devices of a machine; tensor-parallel devices are neighbors, then data-parallel, then stages.
    """

    memory: float = 80e9
    flops: float = 989e12
    efficiency: float = 0.4
    fast: float = 450e9
    slow: float = 50e9
    together: int = 8


@dataclass(frozen=True)
class Layout:
    """Degrees of parallelism.

    Args:
        data: data-parallel groups.
        fsdp: groups that share parameters; divides ``data``. 1 is ddp.
        tensor: devices that share each layer.
        expert: groups that share the experts; divides ``data``.
        pipeline: stages of layers.
        micro_batches: micro-batches of a group in a step.
    Raises:
        Refused: if a degree is not positive, or does not divide ``data``.
    """

    data: int = 1
    fsdp: int = 1
    tensor: int = 1
    expert: int = 1
    pipeline: int = 1
    micro_batches: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require_positive(name, value)
        require_divides("fsdp", self.fsdp, "data", self.data)
        require_divides("expert", self.expert, "data", self.data)

    @property
    def devices(self) -> int:
        """Number of devices."""
        return self.data * self.tensor * self.pipeline


@dataclass(frozen=True)
class Sizes:
    """Numbers of a model that the forecast needs.

    Args:
        parameters: all parameters.
        experts: those of routed experts.
        layers: number of layers.
        mixtures: number of layers with routed experts.
        top_k: experts of a token.
        dim: features of a token between layers.
        flops_per_token: operations of a training step for each token.
        activation_bytes: bytes that autograd saves for each token in bfloat16, without checkpointing.
    """

    parameters: int
    experts: int
    layers: int
    mixtures: int
    top_k: int
    dim: int
    flops_per_token: float
    activation_bytes: float


@dataclass(frozen=True)
class LayoutForecast:
    """Memory in bytes, bytes sent in a step, and seconds of a step, of one device.

    ``sent`` has the bytes by kind of parallelism. ``seconds_overlapped`` assumes that all traffic is hidden behind
    computation, ``seconds_apart`` that none is: a step lies between them.
    """

    states: dict[str, float]
    activations: float
    checkpointed_activations: float
    sent: dict[str, float]
    compute_seconds: float
    communication_seconds: float
    idle: float

    @property
    def memory(self) -> float:
        """Bytes of states and activations, without checkpointing."""
        return sum(self.states.values()) + self.activations

    @property
    def seconds_overlapped(self) -> float:
        """Seconds of a step whose traffic is hidden."""
        return max(self.compute_seconds, self.communication_seconds) / (1 - self.idle)

    @property
    def seconds_apart(self) -> float:
        """Seconds of a step whose traffic is not hidden."""
        return (self.compute_seconds + self.communication_seconds) / (1 - self.idle)


def forecast_layout(sizes: Sizes, layout: Layout, tokens: int, device: Device = Device()) -> LayoutForecast:
    """Forecasts a step; the formulas are those of this module.

    Args:
        sizes: the model.
        layout: degrees of parallelism.
        tokens: tokens of a micro-batch of one data-parallel group.
        device: the device.
    Raises:
        Refused: if the model has no experts to share, or fewer layers than stages.
    """
    require(layout.expert == 1 or sizes.experts > 0, f"expert needs a mixture of experts: got expert={layout.expert}")
    require(layout.pipeline <= sizes.layers, f"pipeline must be at most layers={sizes.layers}: got {layout.pipeline}")
    split, group = layout.tensor * layout.pipeline, tokens * layout.micro_batches
    shared = max(1, layout.fsdp // layout.expert)
    parts = [  # parameters that a device uses, and the groups that share them and that repeat a share
        ((sizes.parameters - sizes.experts) / split, layout.fsdp, layout.data // layout.fsdp),
        (sizes.experts / split / layout.expert, shared, layout.data // (layout.expert * shared)),
    ]
    held = sum(used / shares for used, shares, _ in parts)
    states = {"weights": _WEIGHT * held, "gradients": _WEIGHT * held, "optimizer": _OPTIMIZER * held}
    sent = _count_sent(sizes, layout, group)
    sent["data"] = sum(_count_synchronized(*part, layout.micro_batches) for part in parts)
    spans = {"tensor": layout.tensor, "data": layout.tensor * layout.data, "expert": layout.tensor * layout.expert}
    links = {name: device.fast if spans.get(name, layout.devices) <= device.together else device.slow for name in sent}
    in_flight = min(layout.pipeline, layout.micro_batches)  # micro-batches that the first stage keeps (1F1B)
    stage = sizes.layers / layout.pipeline
    kept = _WEIGHT * tokens * sizes.dim * stage  # the input of each layer, and one layer at a time in whole
    whole = sizes.activation_bytes * tokens / layout.tensor
    return LayoutForecast(
        states,
        activations=whole / layout.pipeline * in_flight,
        checkpointed_activations=kept * in_flight + whole / sizes.layers,
        sent=sent,
        compute_seconds=sizes.flops_per_token * group / split / (device.flops * device.efficiency),
        communication_seconds=sum(count / links[name] for name, count in sent.items()),
        idle=(layout.pipeline - 1) / (layout.micro_batches + layout.pipeline - 1),
    )


def _count_synchronized(used: float, shares: int, replicas: int, micro_batches: int) -> float:
    """Counts the bytes by which a device gathers parameters and reduces gradients in a step."""
    gathered = 3 * micro_batches * (shares - 1) / shares * _WEIGHT * used
    return gathered + 2 * (replicas - 1) / replicas * _WEIGHT * used / shares


def _count_sent(sizes: Sizes, layout: Layout, tokens: int) -> dict[str, float]:
    """Counts the bytes of activations that a device sends in a step, by kind of parallelism."""
    passed = _WEIGHT * tokens * sizes.dim
    exchanged = 4 * sizes.mixtures / layout.pipeline * sizes.top_k * passed
    return {
        "tensor": 4 * sizes.layers / layout.pipeline * passed * 2 * (layout.tensor - 1) / layout.tensor,
        "expert": exchanged * (layout.expert - 1) / layout.expert,
        "pipeline": 2.0 * passed if layout.pipeline > 1 else 0.0,
    }


def measure_sizes(model: Variant, length: int) -> Sizes:
    """Measures the sizes of a decoder or encoder on the meta device, for rows of ``length`` tokens."""
    cost = compute_cost(model, length, 0)
    layers = model.reader.list_applied_layers()
    mixtures = [layer.ffn for layer in layers if isinstance(layer.ffn, Moe)]
    saved = sum(measure_activations(model, length, 0).values())
    return Sizes(
        parameters=cost.parameters,
        experts=sum(parameter.numel() for mixture in mixtures for parameter in mixture.experts.parameters()),
        layers=len(layers),
        mixtures=len(mixtures),
        top_k=mixtures[0].router.router.top_k if mixtures else 0,
        dim=model.embedding.dim,
        flops_per_token=cost.flops_per_token,
        activation_bytes=saved / length / 2,  # measured in float32
    )
