"""``zoo new``: an installable plug-in with one component and its test, to begin from."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo.checks import Refused, suggest
from zoo.registry import KINDS, index
from zoo.system.terminal import say

USAGE = """\
zoo new KIND NAME [FOLDER]

Writes an installable plug-in with one component and its test to FOLDER, by default ./zoo_NAME:
pip install -e zoo_NAME, then zoo check KIND/NAME."""
FILES = ("pyproject.toml", "README.md", "{package}/__init__.py", "{package}/{name}.py", "tests/test_{name}.py")


def new(arguments: Sequence[str]) -> int:
    """Write the plug-in.

    Raises:
        Refused: if the kind is unknown, the name is taken or no Python name, or there are files already.
    """
    if {"-h", "--help"} & set(arguments) or len(arguments) not in (2, 3):
        say(USAGE)
        return 0 if {"-h", "--help"} & set(arguments) else 2
    kind, name = arguments[:2]
    if kind not in KINDS:
        raise Refused(f"unknown kind {kind!r}: {suggest(kind, KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or keyword.iskeyword(name):
        raise Refused(f"NAME must be a Python name in lower case, of at most 64 characters: got {name!r}")
    if name in index().names(kind):
        raise Refused(f"{kind} {name!r} is taken by {index().get(kind, name).path}")
    folder = Path(arguments[2] if len(arguments) == 3 else f"zoo_{name}")
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"FOLDER must be empty or absent: got {folder}")
    values = {"kind": kind, "name": name, "package": f"zoo_{name}", "cls": _class_name(name)}
    for path, text in _written(values).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf8")
        say(str(file))
    say(f"\npip install -e {folder}\nzoo check {kind}/{name}")
    return 0


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _written(values: dict[str, str]) -> dict[str, str]:
    """The text of each file, by its path in the folder."""
    templates = Environment(loader=PackageLoader("zoo.testing", "plugin"), undefined=StrictUndefined, autoescape=False)
    templates.keep_trailing_newline = True
    sources = {**dict.fromkeys(FILES), "{package}/{name}.py": f"{values['kind']}.py"}
    return {
        path.format(**values): templates.get_template((source or Path(path).name.format(name="name")) + ".j2").render(
            values
        )
        for path, source in sources.items()
    }
