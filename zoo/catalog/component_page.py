"""One page of the catalogue: all that is known of one component."""

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
    Price,
    home,
    places,
    price,
    refusal,
    refused_partners,
)
from zoo.catalog.docstring import cell, markdown, paper_link, read
from zoo.model.schema import SLOTS
from zoo.registry import Entry, live_options
from zoo.registry.options import REQUIRED, Option, Record

KINDS = {
    "attention": ("注意力", "how tokens take from one another"),
    "ffn": ("前馈", "what is done to each token alone"),
    "norm": ("层正则化", "how features are brought to a common size"),
    "position": ("位置编码", "how the model knows where tokens stand"),
    "residual": ("残差连接", "how sublayers are wired together"),
    "objective": ("训练目标", "what the model is asked"),
    "data": ("数据", "what it reads"),
    "tokenizer": ("分词器", "how text becomes tokens"),
}
_PRESETS = {"decoder": "gpt", "encoder": "bert", "encoder_decoder": "transformer"}
_DATA = {"documents": "pydocs", "pairs": "numbers"}
_FURTHER_PATHS = {"data": "data", "objective": "objective", "tokenizer": "data.tokenizer"}


def page(entry: Entry) -> str:
    """The page of a component."""
    cls, doc = entry.load(), read(entry.load().__doc__)
    parts = [
        f"# {entry.name}",
        ", ".join(item for item in (_kind(entry.kind), f"class `{entry.path}`", paper_link(entry.paper)) if item),
        markdown(doc.first),
        markdown(doc.text),
        f"Source: {markdown(doc.source)}" if doc.source else "",
        "## Use",
        _use(entry),
        "## Options",
        _options(entry, doc.arguments),
        _given(cls, doc.arguments),
        *_combinations(entry, cls),
        *(_cost(found) if entry.kind in SLOTS and (found := price(entry)) else ()),
        *_failures(cls),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(kind: str) -> str:
    return f"Kind [`{kind}`](../README.md#{kind}) {KINDS[kind][0]}"


def leaves(options: tuple[Option, ...], prefix: str = "") -> Iterator[tuple[str, Option, str]]:
    """Options by dotted name, those of records one by one, each with what the record's docstring says of it."""
    for option in options:
        if isinstance(option.type, Record):
            told = read(option.type.made_of.__doc__ if option.type.made_of else "").arguments
            inner = option.default if isinstance(option.default, Mapping) else {}
            for name, leaf, text in leaves(option.type.options, f"{prefix}{option.name}."):
                own = name.rpartition(".")[2]
                default = inner.get(own, leaf.default)
                yield name, Option(leaf.name, leaf.type, default), text or told.get(own, "")
        else:
            yield prefix + option.name, option, ""


def _options(entry: Entry, told: Mapping[str, str]) -> str:
    rows = [
        f"| `{name}` | {cell(f'`{option.type}`')} | {_default(option)} | {cell(markdown(text or told.get(name, '')))} |"
        for name, option, text in leaves(live_options(entry.kind, entry.name))
    ]
    head = ["| option | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else "None."


def _default(option: Option) -> str:
    return "must be given" if option.default is REQUIRED else cell(f"`{_word(option.default)}`")


def _given(cls: type, told: Mapping[str, str]) -> str:
    """What stands left of ``*`` in the signature."""
    parameters = inspect.signature(cls).parameters.values()
    names = [item.name for item in parameters if item.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    lines = [f"- `{name}`: {markdown(told.get(name, ''))}" for name in names]
    return "\n".join(["Given by the model:", "", *lines]) if lines else ""


# ------------------------------------------------------------------------------------------------------------------ use


def _use(entry: Entry) -> str:
    own = [f"{name}: {_word(option.default)}" for name, option, _ in leaves(entry.options) if "." not in name]
    path = _FURTHER_PATHS.get(entry.kind, f"model.{entry.kind}").split(".")
    text = f"{'  ' * (len(path) - 1)}{path[-1]}: {{{', '.join([f'name: {entry.name}', *own])}}}"
    lines = "\n".join([*(f"{'  ' * depth}{key}:" for depth, key in enumerate(path[:-1])), text])
    command = _command(entry)
    return f"```yaml\n{lines}\n```" + (f"\n\n```bash\n{command}\n```" if command else "")


def _word(default: Any) -> str:
    """A value as YAML writes it."""
    if default is REQUIRED:
        return "…"
    return str(yaml.safe_dump(default, default_flow_style=True, allow_unicode=True)).splitlines()[0]


def _command(entry: Entry) -> str:
    """What chooses the component on the command line, in a preset that takes it."""
    required = [f"{option.name}=…" for option in entry.options if option.default is REQUIRED]
    if entry.kind in SLOTS:
        place = home((entry.kind, entry.name))
        if place is None:
            return ""
        variant, _, rest = place.partition(" ")
        within = f"{variant}/" if rest else ""
        preset = _PRESETS["encoder_decoder" if rest else variant]
        return f"zoo show model={preset}/tiny model/{within}{entry.kind}={entry.name}"
    if entry.kind == "objective":
        variant, form = min(entry.load().combines, key=_order)  # type: ignore[attr-defined]
        return f"zoo train model={_PRESETS[variant]}/tiny data={_DATA[form]} objective={entry.name}"
    group = _FURTHER_PATHS[entry.kind].replace(".", "/")
    more = "".join(f" {_FURTHER_PATHS[entry.kind]}.{line}" for line in required)
    return f"zoo train {group}={entry.name}{more}"


def _order(pair: tuple[str, str]) -> tuple[int, int]:
    return list(_PRESETS).index(pair[0]), list(_DATA).index(pair[1])


# --------------------------------------------------------------------------------------------------------- combinations


def _combinations(entry: Entry, cls: Any) -> Iterator[str]:
    if entry.kind == "objective":
        yield "## Goes with"
        yield _table(("variant", "data"), [(f"`{v}`", form) for v, form in sorted(cls.combines, key=_order)])
        yield f"Not with others: {markdown(cls.reason)}."
        if cls.needs:
            yield f"Every self-attention of the reading stack must see: {_words(cls.needs)}."
    if entry.kind not in SLOTS:
        return
    yield "## Goes with"
    reasons = {place: refusal(place, (entry.kind, entry.name)) for place in places(entry.kind)}
    yield _table(("place", "accepted"), [(place, markdown(reason or "yes")) for place, reason in reasons.items()])
    if entry.kind == "attention":
        hooks = _words(cls.applies) if cls.applies else "none"
        yield f"Sees: {_words(cls.sees)}. Applies of positions: {hooks}."
        if "packed" not in cls.sees:
            yield "It does not see `packed`, so data of documents, which share rows, are refused."
    if entry.kind == "position":
        yield f"Acts by: {_words(cls.hooks()) or 'nothing'}."
    if refused := list(refused_partners(entry)):
        yield "Refused in one layer with:"
        rows = [(f"[`{name}`](../{kind}/{name}.md)", f"`{kind}`", markdown(why)) for kind, name, why in refused]
        yield _table(("component", "kind", "reason"), rows)
    yield "[All combinations](../matrix.md)"


def _words(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(item) for item in line)} |" for line in lines)


# ---------------------------------------------------------------------------------------------------- cost and failures


def _cost(found: Price) -> Iterator[str]:
    yield "## Cost"
    yield (
        f"Of one layer, at dim {DIM}, {HEADS} heads of {HEAD_DIM}, hidden {HIDDEN}, in rows of {LENGTH} tokens; "
        "bytes are those of float32."
    )
    rows = [("parameters", f"{found.parameters:,}")]
    if found.active != found.parameters:
        rows.append(("active parameters", f"{found.active:,}"))
    rows.append(("forward operations a token", f"{found.flops:,}"))
    if found.formula:
        rows.append(("forward operations of a row of L tokens", found.formula))
    if found.cache is not None:
        rows.append((f"cache after {LENGTH} tokens", f"{found.cache:,} bytes"))
        rows.append(("more for a further token", f"{found.further:,} bytes"))
        rows.append(("of the cache, state", f"{found.state:,} bytes"))
    yield _table(("", "default options"), rows)


def _failures(cls: Any) -> Iterator[str]:
    if failures := getattr(cls, "expected_failures", {}):
        yield "## Expected failures"
        yield "Checks of `zoo check` that it does not pass:"
        yield _table(("check", "reason"), [(f"`{name}`", markdown(why)) for name, why in sorted(failures.items())])
