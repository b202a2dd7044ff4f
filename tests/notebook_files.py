"""Notebooks of the documentation in their committed form, which ``python -m tests.notebook_files`` restores."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def normalize(text: str) -> str:
    """Without outputs and what Jupyter says about the machine, laid out as Jupyter does."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    return json.dumps({**notebook, "metadata": METADATA}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    for file in FILES:
        file.write_text(normalize(file.read_text(encoding="utf8")), encoding="utf8")
