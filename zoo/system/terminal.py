"""What goes to a terminal: one door for all texts, which lets no control sequence of a stranger through.

Names of studies and arms, keys of configs, error messages, and what a model writes may hold any character. A terminal
takes some of them as commands (ECMA-48; OSC sequences set titles and clipboards), and bidirectional overrides reorder
what is around them (CVE-2021-42574).
"""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import re
import sys
from collections.abc import Iterator
from typing import TextIO

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for newline and tab, bidirectional controls, line separators, and halves of characters."""
_SIGNS = {"−": "-", "—": "-", "–": "-", "…": "~", "→": ">", "±": "+-", "×": "x", "√": "sqrt", "\N{NO-BREAK SPACE}": " "}
_LINES = {"│": "|", "├": "|", "└": "`", "─": "-", "━": "-"}
_NEAREST = str.maketrans({**_SIGNS, **_LINES})
STANDARD_OUTPUT = "standard output"


def escape_controls(text: str) -> str:
    r"""Write out every control character, as ``\u001b``, which JSON reads back; newlines and tabs stay."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "", *, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """Print a text with its control characters escaped.

    Args:
        text: may hold what strangers wrote.
        file: the standard output if not given.
        end: as of ``print``.
        flush: as of ``print``.
    """
    with naming_output():
        print(escape_controls(text), file=file, end=end, flush=flush)


def say_raw(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Print what was asked for: as it is into a file or pipe, with its control characters escaped on a terminal."""
    if sys.stdout.isatty():
        text = escape_controls(text)
    with naming_output():
        print(text, end=end, flush=flush)


@contextlib.contextmanager
def naming_output() -> Iterator[None]:
    """Give an error of writing, as when the disk is full, the name of what could not be written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or STANDARD_OUTPUT
        raise


class EscapingFormatter(logging.Formatter):
    """Formats a line of a log: the message, with its control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """As of :class:`logging.Formatter`."""
        return escape_controls(super().format(record))


def prepare_output() -> None:
    """Let this process write any text: what an encoding lacks in its nearest characters, logs without controls."""
    codecs.register_error("zoo.system.terminal", _nearest)
    if logging.lastResort is not None:  # what prints warnings where no handler is configured
        logging.lastResort.setFormatter(EscapingFormatter())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="zoo.system.terminal")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return lacking.translate(_NEAREST).encode("ascii", "backslashreplace").decode("ascii"), error.end
