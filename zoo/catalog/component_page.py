"""Catalog page of one component: description, usage, options, compatibility and cost."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from zoo.catalog.component_facts import (
    DIM,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    LENGTH,
    ComponentCost,
    find_conflict,
    find_conflicting_partners,
    find_place,
    list_places,
    measure_cost,
)
from zoo.catalog.markdown_text import escape_cell, link_paper, to_markdown
from zoo.model.schema import SLOTS
from zoo.registry import Entry, get_live_options
from zoo.registry.docstrings import describe_arguments, parse_docstring
from zoo.registry.options import REQUIRED, Option, Record

KINDS = {
    "attention": ("注意力", "how tokens exchange information"),
    "ffn": ("前馈", "transforms each token independently"),
    "norm": ("层正则化", "normalizes the features of a token"),
    "position": ("位置编码", "tells the model where each token is in the sequence"),
    "residual": ("残差连接", "how sublayers are connected"),
    "initialization": ("初始化", "sets the first weights"),
    "objective": ("训练目标", "what the model is trained to predict"),
    "data": ("数据", "what the model is trained on"),
    "tokenizer": ("分词器", "turns text into tokens"),
}
_PRESETS = {"decoder": "gpt", "encoder": "bert", "encoder_decoder": "transformer"}
_DATA = {"documents": "pydocs", "pairs": "numbers"}
_FURTHER_PATHS = {
    "initialization": "model.initialization",
    "data": "data",
    "objective": "objective",
    "tokenizer": "data.tokenizer",
}


def build_page(entry: Entry) -> str:
    """Builds the page of a component as Markdown."""
    cls, doc = entry.load(), parse_docstring(entry.load().__doc__)
    descriptions = describe_arguments(cls)
    parts = [
        f"# {entry.name}",
        ", ".join(item for item in (_link_kind(entry.kind), f"class `{entry.path}`", link_paper(entry.paper)) if item),
        to_markdown(doc.first),
        to_markdown(doc.text),
        f"Source: {to_markdown(doc.source)}" if doc.source else "",
        "## Use",
        _build_usage(entry),
        "## Options",
        _build_options(entry, descriptions),
        _build_arguments(cls, descriptions),
        *_build_combinations(entry, cls),
        *(_build_cost(found) if entry.kind in SLOTS and (found := measure_cost(entry)) else ()),
        *_build_failures(cls),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _link_kind(kind: str) -> str:
    return f"Kind [`{kind}`](../README.md#{kind}) {KINDS[kind][0]}"


def flatten_options(options: tuple[Option, ...], prefix: str = "") -> Iterator[tuple[str, Option, str]]:
    """Yields dotted name, option and description; fields of a record are options, described by its docstring."""
    for option in options:
        if isinstance(option.type, Record):
            described = parse_docstring(option.type.made_of.__doc__ if option.type.made_of else "").arguments
            inner = option.default if isinstance(option.default, Mapping) else {}
            for name, leaf, text in flatten_options(option.type.options, f"{prefix}{option.name}."):
                own = name.rpartition(".")[2]
                default = inner.get(own, leaf.default)
                yield name, Option(leaf.name, leaf.type, default), text or described.get(own, "")
        else:
            yield prefix + option.name, option, ""


def _build_options(entry: Entry, descriptions: Mapping[str, str]) -> str:
    rows = [
        f"| `{name}` | {escape_cell(f'`{option.type}`')} | {_format_default(option)} | "
        f"{escape_cell(to_markdown(text or descriptions.get(name, '')))} |"
        for name, option, text in flatten_options(get_live_options(entry.kind, entry.name))
    ]
    head = ["| option | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else "None."


def _format_default(option: Option) -> str:
    return "required" if option.default is REQUIRED else escape_cell(f"`{_format_value(option.default)}`")


def _build_arguments(cls: type, descriptions: Mapping[str, str]) -> str:
    """Lists the arguments left of ``*`` in the signature, which the model passes."""
    parameters = inspect.signature(cls).parameters.values()
    names = [item.name for item in parameters if item.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    lines = [f"- `{name}`: {to_markdown(descriptions.get(name, ''))}" for name in names]
    return "\n".join(["Arguments passed by the model:", "", *lines]) if lines else ""


# ------------------------------------------------------------------------------------------------------------------ use


def _build_usage(entry: Entry) -> str:
    own = [
        f"{name}: {_format_value(option.default)}"
        for name, option, _ in flatten_options(entry.options)
        if "." not in name
    ]
    path = _FURTHER_PATHS.get(entry.kind, f"model.{entry.kind}").split(".")
    text = f"{'  ' * (len(path) - 1)}{path[-1]}: {{{', '.join([f'name: {entry.name}', *own])}}}"
    lines = "\n".join([*(f"{'  ' * depth}{key}:" for depth, key in enumerate(path[:-1])), text])
    command = _build_command(entry)
    return f"```yaml\n{lines}\n```" + (f"\n\n```bash\n{command}\n```" if command else "")


def _format_value(default: Any) -> str:
    """Formats a value as YAML."""
    if default is REQUIRED:
        return "…"
    return str(yaml.safe_dump(default, default_flow_style=True, allow_unicode=True)).splitlines()[0]


def _build_command(entry: Entry) -> str:
    """Builds a command that selects the component, in a preset that accepts it; empty if none does."""
    required = [f"{option.name}=…" for option in entry.options if option.default is REQUIRED]
    if entry.kind in SLOTS:
        place = find_place((entry.kind, entry.name))
        if place is None:
            return ""
        variant, _, rest = place.partition(" ")
        within = f"{variant}/" if rest else ""
        preset = _PRESETS["encoder_decoder" if rest else variant]
        return f"zoo show model={preset}/tiny model/{within}{entry.kind}={entry.name}"
    if entry.kind == "objective":
        variant, form = min(entry.load().combines, key=_get_order)  # type: ignore[attr-defined]
        return f"zoo train model={_PRESETS[variant]}/tiny data={_DATA[form]} objective={entry.name}"
    group = _FURTHER_PATHS[entry.kind].replace(".", "/")
    more = "".join(f" {_FURTHER_PATHS[entry.kind]}.{line}" for line in required)
    return f"zoo train {group}={entry.name}{more}"


def _get_order(pair: tuple[str, str]) -> tuple[int, int]:
    return list(_PRESETS).index(pair[0]), list(_DATA).index(pair[1])


# --------------------------------------------------------------------------------------------------------- combinations


def _build_combinations(entry: Entry, cls: Any) -> Iterator[str]:
    if entry.kind == "objective":
        yield "## Compatibility"
        yield _build_table(("variant", "data"), [(f"`{v}`", form) for v, form in sorted(cls.combines, key=_get_order)])
        yield f"Other combinations are refused: {to_markdown(cls.reason)}."
        if cls.needs:
            yield f"Self-attention of the stack that reads the input must support: {_join_names(cls.needs)}."
    if entry.kind not in SLOTS:
        return
    yield "## Compatibility"
    reasons = {place: find_conflict(place, (entry.kind, entry.name)) for place in list_places(entry.kind)}
    yield _build_table(
        ("place", "accepted"), [(place, to_markdown(reason or "yes")) for place, reason in reasons.items()]
    )
    if entry.kind == "attention":
        hooks = _join_names(cls.position_hooks) if cls.position_hooks else "none"
        yield f"Supported masks: {_join_names(cls.supports)}. Position hooks that it calls: {hooks}."
        if "packed" not in cls.supports:
            yield "It does not support `packed` masks, so it cannot train on documents, which are packed into rows."
    if entry.kind == "position":
        yield f"Position hooks that it implements: {_join_names(cls.get_hooks()) or 'none'}."
    if refused := list(find_conflicting_partners(entry)):
        yield "Cannot share a layer with:"
        rows = [(f"[`{name}`](../{kind}/{name}.md)", f"`{kind}`", to_markdown(why)) for kind, name, why in refused]
        yield _build_table(("component", "kind", "reason"), rows)
    yield "[All combinations](../matrix.md)"


def _join_names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _build_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(escape_cell(item) for item in line)} |" for line in lines)


# ---------------------------------------------------------------------------------------------------- cost and failures


def _build_cost(found: ComponentCost) -> Iterator[str]:
    yield "## Cost"
    yield (
        f"Cost of one layer with dim {DIM}, {HEADS} heads of {HEAD_DIM}, hidden {HIDDEN} and rows of {LENGTH} tokens, "
        "in float32."
    )
    rows = [("parameters", f"{found.parameters:,}")]
    if found.active != found.parameters:
        rows.append(("active parameters", f"{found.active:,}"))
    rows.append(("forward operations per token", f"{found.flops:,}"))
    if found.formula:
        rows.append(("forward operations for a row of L tokens", found.formula))
    if found.cache is not None:
        rows.append((f"cache after {LENGTH} tokens", f"{found.cache:,} bytes"))
        rows.append(("cache per additional token", f"{found.cache_per_token:,} bytes"))
        rows.append(("recurrent state in the cache", f"{found.state:,} bytes"))
    yield _build_table(("", "default options"), rows)


def _build_failures(cls: Any) -> Iterator[str]:
    if failures := getattr(cls, "expected_failures", {}):
        yield "## Expected failures"
        yield "Checks of `zoo check` that this component is known to fail:"
        yield _build_table(
            ("check", "reason"), [(f"`{name}`", to_markdown(why)) for name, why in sorted(failures.items())]
        )
