"""Arguments are described where the constructor is defined."""

from __future__ import annotations

from zoo.registry.docstrings import describe_arguments


class Base:
    """Base.

    Args:
        a: first.
        b: second.
    """

    def __init__(self, a: int, *, b: int = 1) -> None:
        pass


class Inherits(Base):
    """Inherits.

    Args:
        b: more about it.
    """


class Defines(Base):
    """Defines.

    Args:
        b: its own.
    """

    def __init__(self, a: int, *, b: int = 2) -> None:
        super().__init__(a, b=b)


class Silent(Base):
    def __init__(self, a: int) -> None:
        super().__init__(a)


def test_an_inherited_constructor_is_described_by_the_class_that_defines_it() -> None:
    assert describe_arguments(Base) == {"a": "first.", "b": "second."}
    assert describe_arguments(Inherits) == {"a": "first.", "b": "more about it."}


def test_a_constructor_is_not_described_by_the_one_that_it_replaces() -> None:
    assert describe_arguments(Defines) == {"b": "its own."}
    assert describe_arguments(Silent) == {}
    assert describe_arguments(object) == {}
