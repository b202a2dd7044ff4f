"""Names that a stranger may choose: what terminals, spreadsheets, pages, charts and rich take for commands."""

HOSTILE = (
    "layer [/norm]",
    "[red]red[/red]",
    "[link=https://example.org]link[/link]",
    ":smile:",
    "\x1b[31mcolor",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x07",
    "\x9b31mcolor in one byte",
    "back\x08space",
    "carriage\rreturn",
    "null\x00byte",
    "\x7fdelete",
    "\u202eoverride",
    "\u2066isolate",
    "\u2028line",
    "\udcffno text",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1,2)",
    "</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}",
    "a|b`c*d_e",
    "数据",
)
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
