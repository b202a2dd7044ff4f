"""The parser of a command: flags may stand anywhere, and all other words keep their order."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zoo.checks import Refused, suggest

Given = argparse.Namespace
"""A parsed command line: the value of each flag, and in ``words`` all that is neither a flag nor its value."""
_FLAG = re.compile(r"--?[A-Za-z]\S*")
"""A word that looks like a flag, unlike a negative number, a lone dash, or text with spaces."""
_NUMBERS: Mapping[Any, str] = {int: "a whole number", float: "a number"}
_WIDTH = 80  # columns of a description


class Parser(argparse.ArgumentParser):
    """Parses the flags of one command and leaves its other words over.

    Overrides such as ``~clip`` or ``model/norm=rms`` may stand between flags, so they are not positional arguments of
    argparse, which would take them up to the first flag only.

    Args:
        name: name of the command; empty for ``zoo`` itself.
        forms: what may stand after the name, apart from flags; one line of the usage for each.
        summary: one line for the list of commands.
        description: the first paragraphs of the help; the summary if empty.
        arguments: an explanation for each placeholder of the forms.
        examples: command lines.
        needs_words: True if the command without any arguments prints its help and fails.
        check: yields problems of flags and words that are well-formed one by one.
    """

    def __init__(
        self,
        name: str,
        forms: Sequence[str],
        summary: str,
        *,
        description: str = "",
        arguments: Mapping[str, str] | None = None,
        examples: Sequence[str] = (),
        needs_words: bool = False,
        check: Callable[[Given], Iterable[str]] = lambda given: (),
    ) -> None:
        program = f"zoo {name}".strip()
        self.forms = [f"{program} {form}".strip() for form in forms]
        super().__init__(
            program,
            usage="\n       ".join(f"{form} [FLAGS]" for form in self.forms),
            description="\n\n".join(
                textwrap.fill(each, _WIDTH) for each in (description or f"{summary}.").split("\n\n")
            ),
            epilog="\n  ".join(["examples:", *examples]) if examples else None,
            formatter_class=_HelpFormatter,
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self.color = False  # Python 3.14 has colors, which control characters on their way to a terminal are not
        self.name, self.summary, self.needs_words = name, summary, needs_words
        self.flags: dict[str, argparse.Action] = {}
        self.choices: dict[str, Sequence[str]] = {}
        self._check, self._problems = check, list[str]()
        if arguments:
            self.add_argument_group("arguments", format_columns(arguments))
        self._group = self.add_argument_group("flags")
        self.add_switch("-h", "--help", help="print this help")
        self.add_switch("--debug", help="print tracebacks")

    def add_switch(self, *names: str, help: str) -> None:
        """Adds a flag without a value; the last of its names is the long one."""
        self._note(self._group.add_argument(*names, action="store_true", help=help))

    def add_value(
        self,
        name: str,
        placeholder: str,
        *,
        help: str,
        kind: Callable[[str], Any] = str,
        choices: Sequence[str] = (),
        is_list: bool = False,
    ) -> None:
        """Adds a flag with a value, which is written ``--flag VALUE`` or ``--flag=VALUE``.

        Args:
            name: name of the flag.
            placeholder: placeholder of the value in the help.
            help: explanation of the flag.
            kind: ``int``, ``float`` or ``str``.
            choices: the only values that are allowed, if any.
            is_list: True if the flag may be repeated, and its values are a list; else the last value counts.
        """
        more: dict[str, Any] = {"action": "append", "default": []} if is_list else {}
        convert = self._converter(name, kind, choices)
        self._note(self._group.add_argument(name, metavar=placeholder, type=convert, help=help, **more), choices)

    def add_forwarded(self, title: str, flags: Iterable[tuple[Sequence[str], dict[str, Any], Sequence[str]]]) -> None:
        """Adds flags that are kept as they were written, in ``forwarded``, for whoever parses them next.

        Args:
            title: title of their group in the help.
            flags: names, further arguments of :meth:`argparse.ArgumentParser.add_argument`, and choices of each.
        """
        group = self.add_argument_group(title)
        self.set_defaults(forwarded=[])
        for names, more, choices in flags:
            convert: dict[str, Any] = (
                {} if more.get("nargs") == 0 else {"type": self._converter(names[-1], str, choices)}
            )
            action = group.add_argument(*names, action=_Forward, dest="forwarded", **more, **convert)
            self._note(action, choices)

    def _converter(self, name: str, kind: Callable[[str], Any], choices: Sequence[str]) -> Callable[[str], Any]:
        """Returns the conversion of a value, which notes a problem where argparse would stop at the first."""

        def convert(text: str) -> Any:
            if choices and text not in choices:
                self._problems.append(f"{name}: unknown choice {text!r}: {suggest(text, choices)}")
                return None
            try:
                return kind(text)
            except ValueError:
                self._problems.append(f"{name}: must be {_NUMBERS[kind]}: got {text}")
                return None

        return convert

    def parse(self, arguments: Sequence[str]) -> Given:
        """Parses a command line; after ``--`` nothing is a flag.

        Raises:
            Refused: with all problems, unless help is asked for.
        """
        self._problems.clear()
        try:
            given, rest = self.parse_known_args(arguments)
        except argparse.ArgumentError as error:
            raise Refused(self._describe(error)) from None
        end = rest.index("--") if "--" in rest else len(rest)
        unknown = [word for word in rest[:end] if _FLAG.fullmatch(word)]
        given.words = [word for word in rest[:end] if word not in unknown] + rest[end + 1 :]
        if given.help:
            return given
        near = [f"unknown flag {word!r}: {suggest(word.partition('=')[0], self.flags)}" for word in unknown]
        further = () if unknown else self._check(given)  # a word may be the value of an unknown flag
        if problems := [*self._problems, *near, *further]:
            raise Refused("\n".join(problems))
        return given

    def collect_flags(self, given: Given) -> dict[str, Any]:
        """Returns the values of the flags that were given, by name."""
        values = {name: getattr(given, action.dest) for name, action in self.flags.items()}
        return {name: value for name, value in values.items() if _is_given(value)}

    def _note(self, action: argparse.Action, choices: Sequence[str] = ()) -> None:
        self.flags |= dict.fromkeys(action.option_strings, action)
        self.choices |= dict.fromkeys(action.option_strings, choices)

    def _describe(self, error: argparse.ArgumentError) -> str:
        name = str(error.argument_name).split("/")[-1]
        takes_none = name in self.flags and self.flags[name].nargs == 0
        return f"{name}: takes no value" if takes_none else f"{name}: must be given a value"

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """Returns nothing: a flag is never abbreviated, and ``-model`` is not ``-m`` with a value."""
        return []


class _Forward(argparse.Action):
    """Appends a flag and its value to those that are kept as they were written."""

    def __call__(self, parser: Any, namespace: Given, values: Any, option_string: str | None = None) -> None:
        value = [values] if isinstance(values, str) else []
        namespace.forwarded = [*namespace.forwarded, option_string, *value]


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and the names of flags in one column."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Formats ``-c, --cfg WHAT`` rather than ``-c WHAT, --cfg WHAT``."""
        value = "" if action.nargs == 0 else f" {self._format_args(action, action.dest.upper())}"
        return ", ".join(action.option_strings) + value


def _is_given(value: Any) -> bool:
    """True unless it is the default of a switch, a value, or a list; 0 may be a value."""
    return value is not None and value is not False and value != []


def format_columns(rows: Mapping[str, str], indent: int = 0) -> str:
    """Formats names and their explanations, which may have several lines, in two columns."""
    width = max(map(len, rows))
    lines = ((name if at == 0 else "", line) for name, text in rows.items() for at, line in enumerate(text.split("\n")))
    return "\n".join(f"{'':{indent}}{name:<{width}}  {line}" for name, line in lines)
