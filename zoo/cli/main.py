"""The command ``zoo``. Imports late: ``zoo --help`` and ``zoo list`` load neither torch nor Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zoo import __version__
from zoo.checks import Refused, require, suggest
from zoo.cli import (
    check,
    completion,
    diff,
    export_checkpoint,
    generate,
    import_checkpoint,
    inspect,
    lecture,
    new,
    report,
    show,
    study,
    train,
)
from zoo.cli import list as list_components
from zoo.cli.parser import Given, Parser, format_columns
from zoo.system.terminal import STANDARD_OUTPUT, escape_controls, name_output, prepare_output, say

_MODULES = (
    *(list_components, show, diff, train, study, report),
    *(lecture, generate, inspect, import_checkpoint, export_checkpoint, check, new, completion),
)
COMMANDS = {module.PARSER.name: module for module in _MODULES}
"""The module of each command: its ``PARSER``, and ``run``, which returns the exit code."""
PARSER = Parser(
    "",
    ["COMMAND ..."],
    "Find out which components of a Transformer help, at what cost, and how certain the answer is",
    check=lambda given: [f"unknown command {word!r}: {suggest(word, COMMANDS)}" for word in given.words],
    examples=[
        "zoo COMMAND --help",
        "zoo train model=gpt data=pydocs model/attention=grouped_query model.attention.kv_heads=2 steps=1000",
    ],
)
PARSER.add_switch("--version", help="print the version")
_LONGEST = 2_000  # characters of a line on the terminal; a message may quote a whole file


def main() -> None:
    """Runs the command line of this process; a wrong one ends with readable lines and exit code 2."""
    prepare_output()
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("ZOO_DEBUG"))
    if debug:
        os.environ["ZOO_DEBUG"] = "1"
    try:
        code = run_command(sys.argv[1:])
        with name_output():
            sys.stdout.flush()
    except Refused as error:
        if debug:
            raise
        code = _say(escape_controls(str(error)).split("\n"), 2)
    except KeyboardInterrupt as end:
        code = _say([f"{str(end) or 'interrupted'}; run the same command again to go on"], getattr(end, "code", 130))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if debug:
            raise
        code = _say([_describe_file_error(error)], 1)
    except Exception as error:
        if debug:
            raise
        first = next(iter(str(error).splitlines()), "")
        code = _say([f"{type(error).__name__}: {first}", "run the same command with --debug for a traceback"], 1)
    sys.exit(code)


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command; flags may stand before its name too.

    Args:
        arguments: what follows ``zoo``.
    Returns:
        the exit code.

    Raises:
        Refused: if there is no such command, or its flags or words are wrong.
    """
    for argument in arguments:
        require(argument.encode(errors="replace").decode() == argument, f"an argument must be UTF-8: got {argument}")
    if arguments[:1] == [completion.COMPLETE]:
        parsers = {name: module.PARSER for name, module in COMMANDS.items()}
        say("\n".join(completion.complete_words(arguments[1:], parsers, PARSER)))
        return 0
    at = next((at for at, word in enumerate(arguments) if not word.startswith("-")), None)
    if at is None:
        return _run_without_command(PARSER.parse(arguments))
    name, rest = arguments[at], [*arguments[:at], *arguments[at + 1 :]]
    if name not in COMMANDS:
        raise Refused(f"unknown command {name!r}: {suggest(name, COMMANDS)}")
    parser: Parser = COMMANDS[name].PARSER
    if not rest and parser.needs_words:
        say(parser.format_help(), end="")
        return 2
    given = parser.parse(rest)
    if given.help:
        say(parser.format_help(), end="")
        if name == "train":
            say(f"\n{train.describe_config(given)}", end="")
        return 0
    return int(COMMANDS[name].run(given))


def _run_without_command(given: Given) -> int:
    if given.version and not given.help:
        say(__version__)
        return 0
    commands = {module.PARSER.forms[0]: module.PARSER.summary for module in _MODULES}
    head, _, tail = PARSER.format_help().partition("\nflags:\n")
    say(f"{head}\ncommands:\n{format_columns(commands, indent=2)}\n\nflags:\n{tail}", end="")
    return 0


def _describe_file_error(error: OSError) -> str:
    """Returns the file, and what is wrong with it."""
    if error.filename == STANDARD_OUTPUT:  # what was not written of it would end the process with the same error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"{error.filename}: {error.strerror}" if error.filename else f"{type(error).__name__}: {error}"


def _say(lines: Sequence[str], code: int) -> int:
    for line in lines:
        shown = line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
        say(f"zoo: {shown}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
