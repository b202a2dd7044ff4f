"""Terminal output with control sequences in untrusted text escaped.

Names of studies and arms, config keys, error messages, and generated text may contain any character. A terminal
interprets some of them as commands (ECMA-48; OSC sequences set titles and clipboards), and bidirectional overrides
reorder the text around them (CVE-2021-42574).
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
"""Control characters except newline and tab, bidirectional controls, line separators, and lone surrogates."""
_SIGNS = {"−": "-", "—": "-", "–": "-", "…": "~", "→": ">", "±": "+-", "×": "x", "√": "sqrt", "\N{NO-BREAK SPACE}": " "}
_LINES = {"│": "|", "├": "|", "└": "`", "─": "-", "━": "-"}
_NEAREST = str.maketrans({**_SIGNS, **_LINES})
STANDARD_OUTPUT = "standard output"


def escape_controls(text: str) -> str:
    r"""Escapes control characters as in JSON (``\u001b``); newlines and tabs are kept."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "", *, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """Prints a text with its control characters escaped.

    Args:
        text: Text, possibly untrusted.
        file: Output stream; standard output by default.
        end: String printed after the text, as for :func:`print`.
        flush: If True, flushes the stream, as for :func:`print`.
    """
    with name_output():
        print(escape_controls(text), file=file, end=end, flush=flush)


def say_raw(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Prints a text unchanged to a file or pipe, and with its control characters escaped to a terminal."""
    if sys.stdout.isatty():
        text = escape_controls(text)
    with name_output():
        print(text, end=end, flush=flush)


@contextlib.contextmanager
def name_output() -> Iterator[None]:
    """Context manager that sets the file name of write errors, such as a full disk, to that of the standard output."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or STANDARD_OUTPUT
        raise


class EscapingFormatter(logging.Formatter):
    """Formats log records with their control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record like :meth:`logging.Formatter.format` and escapes its control characters."""
        return escape_controls(super().format(record))


def prepare_output() -> None:
    """Prepares the standard streams for any text: unencodable characters are replaced, control characters escaped."""
    codecs.register_error("zoo.system.terminal", _encode_nearest)
    if logging.lastResort is not None:  # prints warnings where no handler is configured
        logging.lastResort.setFormatter(EscapingFormatter())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="zoo.system.terminal")


def _encode_nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return lacking.translate(_NEAREST).encode("ascii", "backslashreplace").decode("ascii"), error.end
