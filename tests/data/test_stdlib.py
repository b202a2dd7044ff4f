from __future__ import annotations

import inspect
import json
import textwrap
from pathlib import Path

import pytest

from zoo.checks import Refused
from zoo.components.data import _stdlib as stdlib
from zoo.components.data.pycode import PyCode
from zoo.components.data.pydocs import PyDocs, extract_docstrings
from zoo.data.interfaces import Documents


@pytest.fixture(params=["pydocs", "pycode"])
def source(request: pytest.FixtureRequest) -> Documents:
    return request.getfixturevalue(request.param)


def test_nothing_validated_was_trained_on(source: Documents):
    train, validation = list(source.documents("train")), list(source.documents("validation"))
    assert train
    assert validation
    everything = train + validation
    assert len(set(everything)) == len(everything)
    assert 0.01 < len(validation) / len(everything) < 0.12


def test_all_is_text(source: Documents):
    for split in ("train", "validation"):
        assert all(text.strip() and text.encode() for text in source.documents(split))


def test_pycode_holds_the_sources_as_they_are(pycode: PyCode):
    texts = {*pycode.documents("train"), *pycode.documents("validation")}
    for module in (json, textwrap, inspect):
        assert Path(module.__file__).read_text(encoding="utf-8") in texts


def test_pydocs_holds_docstrings_and_topics(pydocs: PyDocs):
    from pydoc_data.topics import topics

    texts = [*pydocs.documents("train"), *pydocs.documents("validation")]
    assert topics["lambda"] in texts
    for documented in (json, textwrap.wrap, textwrap.TextWrapper, inspect.getdoc):
        assert any(inspect.getdoc(documented) in text for text in texts)


def test_no_tests_and_no_installed_packages():
    names = [name for name, _ in stdlib.read_sources()]
    assert names == sorted(names)
    assert "json/decoder.py" in names
    assert not [name for name in names if {"test", "tests", "site-packages"} & set(name.split("/"))]


def test_docstrings_come_in_the_order_of_the_file():
    source = "'A.'\nclass B:\n    'B.'\n    def c(self):\n        'C.'\nasync def d():\n    'D.'\ndef e(): 1\n"
    assert extract_docstrings("x.py", source) == "A.\n\nB.\n\nC.\n\nD."


def test_a_lone_surrogate_becomes_its_escape():
    assert extract_docstrings("x.py", '"""a\\udc80b"""') == "a\\udc80b"


def test_repetitions_and_blanks_are_left_out():
    assert stdlib.deduplicate([("a", "same"), ("b", "same"), ("c", " \n"), ("d", "other")]) == {
        "a": "same",
        "d": "other",
    }


@pytest.mark.parametrize("made", [PyDocs, PyCode])
def test_bad_fraction_is_refused(made: type):
    with pytest.raises(Refused, match="validation=1"):
        made(validation=1.0)


def test_identity_knows_the_options():
    assert PyDocs(validation=0.1).identity() != PyDocs().identity() != PyCode().identity()
