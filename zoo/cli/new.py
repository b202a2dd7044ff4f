"""``zoo new``: writes an installable plug-in with one component and its test, to begin from."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from pathlib import Path

from zoo.checks import suggest
from zoo.cli.parser import Given, Parser
from zoo.registry import KINDS, get_index
from zoo.system.names import check_path
from zoo.system.terminal import say

_FILES = ("pyproject.toml", "README.md", "{package}/__init__.py", "{package}/{name}.py", "tests/test_{name}.py")


def _problems(given: Given) -> Iterable[str]:
    if len(given.words) not in (2, 3):
        yield f"zoo new needs KIND and NAME, and takes a FOLDER: got {' '.join(given.words) or 'nothing'}"
        return
    kind, name = given.words[:2]
    folder = _folder(given)
    if kind not in KINDS:
        yield f"unknown kind {kind!r}: {suggest(kind, KINDS)}"
    elif name in get_index().get_names(kind):
        yield f"{kind} {name!r} is taken by {get_index().get(kind, name).path}"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or keyword.iskeyword(name):
        yield f"NAME must be a Python name in lower case, of at most 64 characters: got {name!r}"
    elif problems := list(check_path("FOLDER", str(folder))):
        yield from problems
    elif folder.exists() and any(folder.iterdir()):
        yield f"FOLDER must be empty or absent: got {folder}"


PARSER = Parser(
    "new",
    ["KIND NAME [FOLDER]"],
    "create a plug-in with one component",
    description="Create an installable plug-in: a component that passes zoo check, and its test.",
    arguments={
        "KIND": ", ".join(KINDS),
        "NAME": "the name of the component, a Python name in lower case",
        "FOLDER": "the folder to write to, empty or absent. Default: ./zoo_NAME",
    },
    examples=["zoo new attention my_mixer", "pip install -e zoo_my_mixer", "zoo check attention/my_mixer"],
    needs_words=True,
    check=_problems,
)


def run(given: Given) -> int:
    """Writes the files, and prints the commands that install and check the component."""
    kind, name = given.words[:2]
    folder = _folder(given)
    values = {"kind": kind, "name": name, "package": f"zoo_{name}", "cls": _class_name(name)}
    for path, text in _render(values).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf8")
        say(str(file))
    say(f"\npip install -e {folder}\nzoo check {kind}/{name}")
    return 0


def _folder(given: Given) -> Path:
    return Path(given.words[2] if len(given.words) == 3 else f"zoo_{given.words[1]}")


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _render(values: dict[str, str]) -> dict[str, str]:
    """Returns the text of each file, by its path in the folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(loader=PackageLoader("zoo.testing", "plugin"), undefined=StrictUndefined, autoescape=False)
    templates.keep_trailing_newline = True
    sources = {**dict.fromkeys(_FILES), "{package}/{name}.py": f"{values['kind']}.py"}
    return {
        path.format(**values): templates.get_template((source or Path(path).name.format(name="name")) + ".j2").render(
            values
        )
        for path, source in sources.items()
    }
