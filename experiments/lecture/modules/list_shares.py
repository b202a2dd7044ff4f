"""Lists the share of each kind of module in the parameters of all presets; writes shares.md beside this file."""

from __future__ import annotations

from pathlib import Path

from zoo.config.groups import list_choices
from zoo.inspect.parameters import ParameterView, measure_parameters
from zoo.inspect.summary import plan_overrides
from zoo.system.units import format_count

PAGE = Path(__file__).with_name("shares.md")
GROUPS = ("attention", "ffn", "embedding", "head", "other")
HEADER = """# Shares of parameters by module

Made by `python experiments/lecture/modules/list_shares.py`; `zoo show model=PRESET --json` gives the same shares.
Presets with a slash have a published size or a size named by this project (`tiny`, `small`), the others the size of a
laptop, with a vocabulary of 2048 tokens and the special tokens of their objective. Shares are percentages of all
parameters. The last column is what the feed-forward has of attention and feed-forward together: the lecture says two
thirds, 66.7. Learned positions and norms are other modules.

"""


def measure_preset(name: str) -> ParameterView:
    """Measures the parameters of a preset, with its own vocabulary or that of the default data."""
    return measure_parameters(*plan_overrides([f"model={name}"]), lengths=())


def format_row(name: str, view: ParameterView) -> str:
    """Formats the row of a preset."""
    shares = (f"{100 * view.shares[group]:.1f}" for group in GROUPS)
    both = view.shares["attention"] + view.shares["ffn"]
    return (
        f"| `{name}` | {format_count(view.parameters)} | {' | '.join(shares)} | {100 * view.shares['ffn'] / both:.1f} |"
    )


def build_page() -> str:
    """Builds the page with a row for each preset."""
    columns = ("preset", "parameters", *GROUPS, "ffn of both")
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    rows = [format_row(name, measure_preset(name)) for name in list_choices("model") if name != "hub"]
    return HEADER + "\n".join([*lines, *rows]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf8")
