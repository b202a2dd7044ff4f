"""Conformance kit: checks that components fulfill the contract of their kind.

``zoo check attention/latent`` checks a registered component, ``zoo check my_package.my_module:MyAttention`` a class.
In a test of your own:

    from zoo.testing import parametrize_with_checks

    @parametrize_with_checks(["attention/my_mixer"])
    def test_my_mixer(check):
        check()
"""

from zoo.testing.kit import CHECKS, FAILURES, Check, Failed, Outcome
from zoo.testing.run_checks import check_component, find_component, parametrize_with_checks, register_temporarily
from zoo.testing.subject import Subject, list_subjects

__all__ = [
    "CHECKS",
    "FAILURES",
    "Check",
    "Failed",
    "Outcome",
    "Subject",
    "check_component",
    "find_component",
    "list_subjects",
    "parametrize_with_checks",
    "register_temporarily",
]


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
