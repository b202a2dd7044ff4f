"""Checks of declarations: signature, docstring, name and paper, without building the component."""

from __future__ import annotations

import inspect
import re
from typing import Any

from zoo.data import interfaces as data
from zoo.model import interfaces
from zoo.model.initialization import Initialization
from zoo.model.objective import Objective
from zoo.model.schema import SLOTS
from zoo.registry import get_live_options
from zoo.registry.docstrings import describe_arguments
from zoo.registry.options import Choice, Maybe, Option, Scalar, check_options
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import Subject, find_refusals, list_places

GIVEN: dict[str, tuple[str, ...]] = {
    "attention": ("dim", "heads", "head_dim", "norm"),
    "ffn": ("dim", "hidden"),
    "norm": ("dim",),
    "position": ("dim", "heads", "head_dim", "causal"),
    "residual": ("dim", "norm", "sublayers", "layer", "layers"),
    "initialization": (),
    "objective": ("dim", "vocabulary", "variant"),
    "data": (),
    "tokenizer": (),
}
"""Positional arguments of the components of each kind, left of ``*``."""
BASES: dict[str, tuple[type, ...]] = {
    "attention": (interfaces.Attention,),
    "ffn": (interfaces.FeedForward,),
    "norm": (interfaces.Norm,),
    "position": (interfaces.Position,),
    "residual": (interfaces.Residual,),
    "initialization": (Initialization,),
    "objective": (Objective,),
    "data": (data.Documents, data.Pairs),
    "tokenizer": (data.Tokenizer,),
}


@check("declaration", "the annotations and defaults right of * in __init__")
def check_options_match_the_source_file(subject: Subject) -> None:
    """Options read from the source file equal those of the imported class."""
    entry = subject.entry
    live = get_live_options(entry.kind, entry.name)
    fail_unless(entry.options == live, f"options {entry.options}", str(live))


@check("declaration", "the arguments left of * in __init__")
def check_constructor_matches_the_kind(subject: Subject) -> None:
    """Positional arguments are those of the kind, by name; there is no ``*args`` and no ``**kwargs``."""
    if subject.cls.__init__ is object.__init__:
        return
    parameters = list(inspect.signature(subject.cls.__init__).parameters.values())[1:]
    given = tuple(item.name for item in parameters if item.kind is not inspect.Parameter.KEYWORD_ONLY)
    wanted = GIVEN[subject.entry.kind]
    fail_unless(given == wanted, f"__init__({', '.join(wanted)}, *, …)", f"__init__({', '.join(given)}, *, …)")


@check("declaration", "the class statement")
def check_class_is_final_and_concrete(subject: Subject) -> None:
    """The class is final, has no abstract methods and extends the base class of its kind."""
    cls, bases = subject.cls, BASES[subject.entry.kind]
    fail_unless(getattr(cls, "__final__", False), "@final above the class", "none")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    fail_unless(not missing, "no abstract methods", f"{', '.join(missing)} not defined")
    fail_unless(issubclass(cls, bases), f"a subclass of {bases[0].__name__}", f"{cls.__mro__[1].__name__}")


@check("declaration", "the file's name and @register", when=lambda subject: subject.entry.filed)
def check_file_is_named_after_the_component(subject: Subject) -> None:
    """The source file has the registered name."""
    file = subject.entry.module.rpartition(".")[2]
    fail_unless(file == subject.entry.name, f"file {subject.entry.name}.py", f"{file}.py")


@check("declaration", "the docstring of the class")
def check_every_argument_is_documented(subject: Subject) -> None:
    """The docstring, or that of the base that defines ``__init__``, has a first line and a line for every argument."""
    doc = inspect.cleandoc(subject.cls.__doc__ or "")
    first = doc.splitlines()[0] if doc else ""
    fail_unless(first == subject.entry.description and len(first) > 5, "a summary in the first line", first)
    described = describe_arguments(subject.cls)
    names = (*GIVEN[subject.entry.kind], *(option.name for option in subject.entry.options))
    missing = [name for name in names if name not in described]
    fail_unless(not missing, "every argument under Args", f"nothing about {', '.join(missing)}")


@check("declaration", "paper= in @register")
def check_paper_is_a_valid_reference(subject: Subject) -> None:
    """The paper, if given, is arXiv:…, doi:… or a URL."""
    paper = subject.entry.paper
    known = paper is None or re.fullmatch(r"(arXiv:\d{4}\.\d{4,5}|doi:10\..+|https://.+)", paper)
    fail_unless(bool(known), "arXiv:0000.00000, doi:10.… or https://…", repr(paper))


@check("declaration", "the type of the option")
def check_invalid_values_are_reported_together(subject: Subject) -> None:
    """Values of invalid types are all reported, each with the path of the option and the value."""
    options, problems = subject.entry.options, list[str]()
    check_options(options, {option.name: _pick_wrong_value(option) for option in options}, "here", problems)
    for option in options:
        named = any(
            line.startswith(f"here.{option.name}: ") and repr(_pick_wrong_value(option)) in line for line in problems
        )
        fail_unless(named, f"a line about here.{option.name}", "; ".join(problems) or "nothing")


@check("declaration", "the names of the options")
def check_misspelled_options_get_a_suggestion(subject: Subject) -> None:
    """An unknown option is reported with the closest name."""
    for option in subject.entry.options:
        problems: list[str] = []
        check_options(subject.entry.options, {f"{option.name}x": 1}, "here", problems)
        near = any(line.startswith(f"here.{option.name}x: ") and "did you mean" in line for line in problems)
        fail_unless(near, f"a suggestion for {option.name}x", "; ".join(problems))


@check(
    "declaration",
    "supports, position_hooks, and what __init__ refuses at dim=16, heads=4, head_dim=4, hidden=24",
    when=lambda subject: subject.entry.kind in SLOTS,
)
def check_is_accepted_somewhere(subject: Subject) -> None:
    """At least one variant accepts the component with default options."""
    kind, part = subject.entry.kind, subject.part
    fail_unless(
        bool(list_places(kind, part)), "a variant that accepts it", "; ".join(find_refusals(kind, part, "decoder"))
    )


def _pick_wrong_value(option: Option) -> Any:
    """Returns a value of another type than that of the option."""
    kind = option.type.inner if isinstance(option.type, Maybe) else option.type
    return 7 if isinstance(kind, Scalar) and kind.type is str and not isinstance(kind, Choice) else "seven"
