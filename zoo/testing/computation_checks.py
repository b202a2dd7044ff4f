"""Checks of computations: dtypes, devices, compilation, and differences from other components and options."""

from __future__ import annotations

import io
import logging

import torch
from torch import Tensor

from zoo.model.build import assemble, build
from zoo.model.executed_flops import measure_executed_flops
from zoo.model.inputs import Inputs
from zoo.model.plan import plan_model
from zoo.model.schema import check_model
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.subject import LENGTH, LONG, SMALL, SOURCE, TOKENS, Subject, build_config, find_refusals, perturb


@check("model", "tensors that forward creates without dtype=x.dtype")
@torch.no_grad()
def check_shape_and_dtype_are_kept(subject: Subject) -> None:
    """Hidden states are finite and keep shape and dtype of the inputs, in float32 and bfloat16."""
    for dtype, length in ((torch.float32, LENGTH), (torch.bfloat16, subject.max_length)):
        hidden = subject.copy().to(dtype).compute_hidden(subject.make_inputs(length))
        wanted = [2, length, SMALL["dim"]]
        fail_unless(list(hidden.shape) == wanted, f"shape {wanted}", str(list(hidden.shape)))
        fail_unless(hidden.dtype == dtype, str(dtype), str(hidden.dtype))
        fail_unless(bool(hidden.isfinite().all()), f"finite hidden states in {dtype}", "inf or nan")


@check("model", "randomness outside of training")
@torch.no_grad()
def check_evaluation_is_deterministic(subject: Subject) -> None:
    """Two forward passes in evaluation mode give bitwise equal hidden states."""
    one, other = (subject.model.compute_hidden(subject.make_inputs(subject.max_length)) for _ in range(2))
    fail_unless(torch.equal(one, other), "equal numbers in both passes", "different ones")


@check("model", "random numbers that do not come from torch's global generator", defaults=True)
def check_equal_seeds_give_equal_weights(subject: Subject) -> None:
    """Models built with the same seed have equal weights."""
    one, other = subject.build_model().state_dict(), subject.build_model().state_dict()
    unequal = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    fail_unless(not unequal, "equal weights", f"different ones in {', '.join(unequal)}")


@check(
    "model",
    "tensors that are neither parameters nor buffers",
    after=("evaluation_is_deterministic",),
    defaults=True,
)
@torch.no_grad()
def check_weights_survive_a_round_trip(subject: Subject) -> None:
    """Weights saved and loaded into another model give equal hidden states."""
    file = io.BytesIO()
    torch.save(subject.model.state_dict(), file)
    file.seek(0)
    other = subject.build_model()
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(torch.load(file, weights_only=True))
    fail_unless_close(
        other.compute_hidden(subject.make_inputs()),
        subject.model.compute_hidden(subject.make_inputs()),
        "equal hidden states after loading",
        0.0,
    )


@check("model", "values read from tensors (item(), bool()), or sizes that depend on values", defaults=True)
@torch.no_grad()
def check_runs_on_the_meta_device(subject: Subject) -> None:
    """The model is built and runs on the meta device, forward and backward, as in ``zoo show``."""
    model, inputs = subject.meta, subject.make_inputs(subject.max_length)
    elsewhere = sorted({p.device.type for p in model.parameters()} - {"meta"})
    fail_unless(not elsewhere, "all parameters on the meta device", f"some on {', '.join(elsewhere)}")
    source = None if inputs.source is None else inputs.source.to("meta")
    hidden = model.compute_hidden(Inputs(inputs.tokens.to("meta"), source=source))
    fail_unless(
        list(hidden.shape) == [2, subject.max_length, SMALL["dim"]],
        "hidden states of the usual shape",
        str(list(hidden.shape)),
    )
    if subject.is_first:
        measure_executed_flops(model, subject.max_length, SOURCE)


@check("model", "casts to a fixed dtype in forward; sums in bfloat16", after=("shape_and_dtype_are_kept",))
@torch.no_grad()
def check_autocast_stays_close(subject: Subject) -> None:
    """Hidden states under autocast to bfloat16 are close to those in float32."""
    model = subject.copy().float()
    inputs = subject.make_inputs(subject.max_length)
    wanted = model.compute_hidden(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = model.compute_hidden(inputs).float()
    error = (seen - wanted).norm(dim=-1) / wanted.norm(dim=-1).clamp(min=1e-6)
    middle = float(error.median())  # a router may send single tokens to other experts
    fail_unless(middle < 0.1, "a relative error below 0.1 for most tokens", f"{middle:.3g}")


@check(
    "model",
    "values that Python code reads in forward, which torch.compile keeps from the first call",
    when=lambda subject: subject.is_plain and subject.is_first,
)
@torch.no_grad()
def check_compiled_equals_eager(subject: Subject) -> None:
    """Hidden states of the compiled model equal those in eager mode, for rows with padding."""
    model = subject.build_model(layers=1).float()
    inputs = Inputs(subject.make_inputs(5).tokens, torch.tensor([[0, 0, 0, 0, 0], [-1, 0, 0, 0, 0]]))
    if subject.variant == "encoder_decoder":
        inputs = Inputs(inputs.tokens, inputs.segment, source=subject.make_inputs().source)
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it warns of graph breaks, which are allowed
    torch._dynamo.reset()
    with torch._dynamo.config.patch(suppress_errors=False):
        compiled = torch.compile(model.compute_hidden, backend="eager")(inputs)
    fail_unless_close(compiled, model.compute_hidden(inputs), "equal hidden states when compiled", 1e-5)


# ------------------------------------------------------------------------------------------------ differences


def build_unchecked(config: dict[str, object]) -> Variant:
    """Builds a model in evaluation mode and float64 without checking that its parts are compatible."""
    problems: list[str] = []
    plan = plan_model(check_model(config, problems), problems)
    fail_unless(not problems, "a config without problems", "; ".join(problems))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = assemble(plan, TOKENS).eval().double()
    perturb(model)
    return model


@torch.no_grad()
def is_same_computation(one: Variant, other: Variant, inputs: Inputs, *, exactly: bool = False) -> bool:
    """True if both models compute equal hidden states with the weights of the first, and these fit the second."""
    theirs, own = one.state_dict(), other.state_dict()
    if {name: tensor.shape for name, tensor in theirs.items()} != {name: tensor.shape for name, tensor in own.items()}:
        return False
    other.load_state_dict(theirs)
    return torch.allclose(one.compute_hidden(inputs), other.compute_hidden(inputs), rtol=0, atol=0 if exactly else 1e-7)


@check("model", "the formula, which must differ from that of the other component", defaults=True)
@torch.no_grad()
def check_computation_is_unique(subject: Subject) -> None:
    """No other component of the kind computes equal hidden states with equal weights."""
    inputs, kind = subject.make_inputs(subject.max_length, rows=1), subject.entry.kind
    own = subject.model if kind != "attention" else build_unchecked(build_config(kind, subject.part, subject.place))
    for name in get_index().get_names(kind):
        if name == subject.entry.name or find_refusals(kind, {"name": name}, subject.place):
            continue
        other = build(build_config(kind, {"name": name}, subject.place), TOKENS, seed=0).eval().double()
        same = is_same_computation(own, other, inputs)
        fail_unless(not same, f"a different computation than {name}", "equal hidden states")


@check("model", "position_hooks: the hooks of a position that forward calls", defaults=True, when=lambda s: s.is_first)
@torch.no_grad()
def check_positions_have_an_effect_or_are_refused(subject: Subject) -> None:
    """Positions that change hidden states are accepted, and those that would change nothing are refused."""
    kind = subject.entry.kind
    if kind not in ("attention", "position"):
        return
    pairs = (
        [(subject.entry.name, name) for name in get_index().get_names("position") if name != "none"]
        if kind == "attention"
        else [(name, subject.entry.name) for name in ("multi_head", "none")]
    )
    for attention, position in pairs:
        if position == "none":
            continue
        parts = {"attention": {"name": attention}, "position": {"name": position}}
        config = {**build_config(kind, subject.part, subject.place), **parts}
        with_it, without = build_unchecked(config), build_unchecked({**config, "position": {"name": "none"}})
        own = with_it.state_dict()
        without.load_state_dict({name: own[name] for name in without.state_dict()})
        inputs = subject.make_inputs()
        same = torch.allclose(with_it.compute_hidden(inputs), without.compute_hidden(inputs), rtol=0, atol=1e-6)
        refused = any("would change nothing" in line for line in _find_problems(config))
        expected = "refused, since it changes nothing" if same else "accepted, since it changes hidden states"
        seen = "refused" if refused else "accepted"
        fail_unless(same == refused, f"attention {attention} with position {position} to be {expected}", seen)


def _find_problems(config: dict[str, object]) -> list[str]:
    from zoo.model.build import check as check_config

    return check_config(config)[2]


@check("option", "where the option is used")
def check_every_option_has_an_effect(subject: Subject) -> None:
    """Another value of an option changes hidden states, initial weights, loss terms or costs."""
    plain = Subject(subject.entry, "model", {"name": subject.entry.name}, subject.place)
    one, other = subject.model, plain.build_model()
    inputs = subject.make_inputs(min(LONG, *(model.limit or LONG for model in (one, other))))
    if not is_same_computation(one, other, inputs, exactly=True) or one.flops(LONG, LONG) != other.flops(LONG, LONG):
        return
    acts = _sum_first_weights(subject) != _sum_first_weights(plain) or _run_training_pass(
        subject
    ) != _run_training_pass(plain)
    fail_unless(acts, "an effect of another value", "none")


def _sum_first_weights(subject: Subject) -> list[float]:
    """Computes the sum of squares of each initial weight."""
    model = build(subject.config, TOKENS, seed=0)
    return [float(parameter.detach().double().square().sum()) for parameter in model.parameters()]


def _run_training_pass(subject: Subject) -> list[tuple[str, list[float]]]:
    """Returns auxiliary loss terms of a training pass, and buffers after a step."""
    torch.manual_seed(0)
    model = subject.copy().train()
    model.compute_hidden(subject.make_inputs(rows=6))
    found: list[tuple[str, list[float]]] = []
    for component in model.list_components():
        found += [(name, [float(term.detach())]) for name, term in component.losses().items()]
        component.update_after_step()
    buffers: list[tuple[str, Tensor]] = list(model.named_buffers())
    return found + [(name, buffer.flatten().double().tolist()) for name, buffer in buffers]
