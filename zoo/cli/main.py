"""The command ``zoo``. Imports late: ``zoo --help`` and ``zoo list`` load neither torch nor Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zoo import __version__
from zoo.checks import Refused, require, suggest
from zoo.system.terminal import STANDARD_OUTPUT, escape_controls, name_output, prepare_output, say

HELP = """\
zoo: find out which parts of a Transformer help, at what cost, and how sure one can be.

  zoo list [KIND] [--json]           components, their papers and options
  zoo show OVERRIDES [--json]        a composed model: parts, parameters, operations, memory
  zoo diff A B [OVERRIDES] [--json]  what differs between two models, part by part
  zoo train OVERRIDES                one training, or with -m a sweep of them
  zoo study STUDY [OVERRIDES]        arms and seeds of a study, and its report; --dry-run, --status
  zoo report STUDY | RUN-FOLDER ...  the report of what is there; -m of a sweep
  zoo generate FOLDER PROMPT ...     what the model of a run or checkpoint writes
  zoo import CHECKPOINT FOLDER       a published checkpoint in the project's own form
  zoo export RUN FOLDER              a model as a checkpoint that others can read; --family llama
  zoo check KIND/NAME ... | --all    whether components keep what their kind promises
  zoo new KIND NAME                  a plug-in with one component and its test, to begin from

OVERRIDES are Hydra's: model=gpt data=pydocs model/attention=grouped_query model.attention.kv_heads=2 steps=1000
zoo train --help lists all that can be chosen, zoo train --cfg job prints the config and runs nothing.

  --debug     show tracebacks
  --version   print the version
"""


_LONGEST = 2_000  # characters of a line on the terminal; a message may quote a whole file


def main() -> None:
    """Run the command; what was asked wrongly ends with readable lines and exit code 2."""
    prepare_output()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or bool(os.environ.get("ZOO_DEBUG"))
    if debug:
        os.environ["ZOO_DEBUG"] = "1"
    try:
        for argument in arguments:
            require(
                argument.encode(errors="replace").decode() == argument, f"an argument must be UTF-8: got {argument}"
            )
        code = _dispatch(arguments)
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
        code = _say([_name_file(error)], 1)
    except Exception as error:
        if debug:
            raise
        first = next(iter(str(error).splitlines()), "")
        code = _say([f"{type(error).__name__}: {first}", "the same command with --debug shows where"], 1)
    sys.exit(code)


def _name_file(error: OSError) -> str:
    """Which file, and what is wrong with it."""
    if error.filename == STANDARD_OUTPUT:  # what was not written of it would end the process with the same error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"{error.filename}: {error.strerror}" if error.filename else f"{type(error).__name__}: {error}"


def _say(lines: Sequence[str], code: int) -> int:
    for line in lines:
        shown = line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
        say(f"zoo: {shown}", file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    from zoo.cli.diff import diff
    from zoo.cli.exchange import export, import_
    from zoo.cli.generate import generate
    from zoo.cli.list_components import list_components
    from zoo.cli.report import report
    from zoo.cli.show import show
    from zoo.cli.study import study
    from zoo.cli.train import complete, train

    commands = {
        "list": list_components,
        "show": show,
        "diff": diff,
        "train": train,
        "study": study,
        "report": report,
        "generate": generate,
        "import": import_,
        "export": export,
        "check": check,
        "new": new,
    }
    match arguments:
        case [] | ["-h" | "--help"]:
            say(HELP, end="")
            return 0
        case ["--version"]:
            say(__version__)
            return 0
        case ["-sc" | "--shell-completion" | "--shell_completion", *_]:
            return complete(arguments)
        case [name, *rest] if name in commands:
            return commands[name](rest)
        case [name, *_]:
            raise Refused(f"unknown command {name!r}: {suggest(name, commands)}")
    return 0


def check(arguments: list[str]) -> int:
    """``zoo check KIND/NAME | package.module:Class | --all``: the conformance kit."""
    from zoo.cli.check import command

    sys.path.insert(0, os.getcwd())  # a class that is not installed is looked for where the command is called
    return command(arguments)


def new(arguments: list[str]) -> int:
    """``zoo new KIND NAME [FOLDER]``: a plug-in to begin from."""
    from zoo.cli.new_plugin import new as write

    return write(arguments)


if __name__ == "__main__":
    main()
