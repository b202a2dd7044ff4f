"""A component of another distribution is found, built, refused and tested like any other; a broken one harms none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def install(site: Path, project: dict[str, Any], package: Path | None) -> None:
    """What an installer leaves behind: the package, and a folder of metadata with the entry points."""
    if package is not None:
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf8"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())
        for group, found in project["entry-points"].items()
    )
    info.joinpath("entry_points.txt").write_text(points, encoding="utf8")


def broken(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "version": "0.1", "entry-points": {"zoo.components": {name: value}}}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, and beside it all ways in which another can be broken."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads(HERE.joinpath("pyproject.toml").read_text(encoding="utf8"))["project"]
    install(site, project, HERE / "zoo_running_mean")
    files = {
        "zoo_no_python": "def (",
        "zoo_bad_option": (
            "from zoo.registry import register\n\n@register('norm', 'bad_option')\nclass Bad:\n"
            "    def __init__(self, dim: int, *, table: dict = {}) -> None: ...\n"
        ),
        "zoo_taken_name": (
            "from zoo.registry import register\n\n@register('norm', 'half')\nclass Half: ...\n\n"
            "@register('attention', 'running_mean')\nclass Other: ...\n"
        ),
        "zoo_odd_paper": (
            "from zoo.registry import register\nP = 'x'\n\n@register('norm', 'odd', paper=P)\nclass Odd: ...\n"
        ),
        "zoo_no_component": "import zoo.registry\n",
        "zoo_no_import": (
            "import a_package_that_is_not_there\nfrom zoo.registry import register\n\n"
            "@register('norm', 'no_import')\nclass NoImport: ...\n"
        ),
    }
    for name, content in files.items():
        (site / f"{name}.py").write_text(content, encoding="utf8")
        install(site, broken(name.replace("_", "-"), name), None)
    install(site, broken("zoo-no-module", "zoo_no_module.inner"), None)
    install(site, broken("zoo-no-value", "not a module!"), None)
    return site


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture(scope="session")
def found(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process that has the plug-in sees."""
    script = tmp_path_factory.mktemp("script") / "look.py"
    script.write_text(
        """
import json, sys
from zoo.registry import get_index
found = get_index()
entry = found.get("attention", "running_mean")
norms = found.get_names("norm")
out = {"json": entry.as_json(), "broken": found.broken, "norms": norms, "torch": "torch" in sys.modules}
import torch
from zoo.model.build import build, check
from zoo.checks import Refused
part = {"attention": {"name": "running_mean"}}
base = {"dim": 16, "layers": 1, "ffn": {"name": "mlp"}, "norm": {"name": "layer"}, "position": {"name": "none"}}
base["residual"] = {"name": "pre"}
model = build({"variant": "decoder", **base, **part}, 32)
out["class"] = type(model.reader.layers[0].attention).__name__
layer = model.reader.layers[0].attention
x = torch.randn(1, 4, 16)
from zoo.model.mask import Mask, Tokens
row = Tokens.from_length(4, segment=torch.tensor([[0, 0, 0, 1]]))
got = layer(x, x, Mask(row, row, causal=True), model.reader.no_position)
value = layer.value(x)[0]
expected = layer.output(torch.stack([value[0], (value[0] + value[1]) / 2, value[:3].sum(dim=0) / 3, value[3]]))
out["mean"] = torch.allclose(got[0], expected, atol=1e-6)
out["encoder"] = check({"variant": "encoder", **base, **part})[2]
both = {"variant": "encoder_decoder", **base, "attention": {"name": "multi_head"}, "cross": part["attention"]}
out["cross"] = check(both)[2]
out["rotary"] = check({"variant": "decoder", **base, **part, "position": {"name": "rotary"}})[2]
try:
    build({"variant": "decoder", **base, "attention": {"name": "multi_head"}, "norm": {"name": "no_import"}}, 32)
except Refused as refusal:
    out["no_import"] = str(refusal)
from zoo.catalog.component_page import build_page
from zoo.catalog.overview_tables import build_index
out["page"], out["catalog"] = build_page(entry), build_index(["zoo-running-mean"])
print(json.dumps(out))
""",
        encoding="utf8",
    )
    done = python(site, str(script))
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_it_is_in_the_index_without_an_import(found: dict[str, Any]) -> None:
    assert not found["torch"]
    entry = found["json"]
    assert entry["class"] == "zoo_running_mean.running_mean.RunningMean"
    assert entry["distribution"] == "zoo-running-mean"
    assert entry["description"] == "The mean of the values of a token and of all earlier ones of its document."
    assert entry["options"] == [{"name": "bias", "type": "bool", "required": False, "default": False}]


def test_it_builds_and_computes(found: dict[str, Any]) -> None:
    assert found["class"] == "RunningMean"
    assert found["mean"]


def test_it_is_refused_where_it_means_nothing(found: dict[str, Any]) -> None:
    assert found["encoder"] == [
        "model.attention: running_mean cannot be used in the encoder: "
        "it does not support full masks, only causal, packed"
    ]
    assert found["cross"] == ["model.cross: running_mean cannot be cross-attention: it does not support cross masks"]
    assert found["rotary"] == [
        "model.position: rotary would change nothing: it acts by rotate, which attention running_mean does not apply"
    ]


def test_broken_ones_are_reported_and_take_nothing_down(found: dict[str, Any]) -> None:
    reasons = {line.split()[1]: line for line in found["broken"]}
    assert set(reasons) == {
        "zoo-no-python",
        "zoo-bad-option",
        "zoo-taken-name",
        "zoo-odd-paper",
        "zoo-no-component",
        "zoo-no-module",
        "zoo-no-value",
    }
    for name, line in reasons.items():
        assert line.startswith(f"plug-in {name} is left out: ")
    assert "zoo_bad_option.Bad: option table: type dict is not allowed" in reasons["zoo-bad-option"]
    assert "'running_mean' is taken: zoo_running_mean" in reasons["zoo-taken-name"]
    assert "module zoo_no_module.inner cannot be found" in reasons["zoo-no-module"]
    assert {"rms", "layer", "no_import"} <= set(found["norms"])
    assert not {"half", "bad_option", "odd"} & set(found["norms"]), "left out as a whole"


def test_one_that_cannot_be_imported_is_named_when_it_is_asked_for(found: dict[str, Any]) -> None:
    line = found["no_import"]
    assert line.startswith("model.norm: norm no_import of zoo-no-import cannot be imported: ")
    assert "a_package_that_is_not_there" in line


def test_the_catalog_has_a_page_for_it(found: dict[str, Any]) -> None:
    assert "[running_mean](attention/running_mean.md)" in found["catalog"].replace("`", "")
    assert "The mean of the values of a token" in found["page"]
    assert "| `bias` |" in found["page"]


def test_it_is_listed(site: Path) -> None:
    done = python(site, "-m", "zoo", "list", "attention")
    assert done.returncode == 0, done.stderr
    assert "running_mean" in done.stdout
    assert "zoo-no-python is left out" in done.stdout + done.stderr


def test_it_passes_the_conformance_checks(site: Path) -> None:
    """The kit sees it as it sees the built-in ones."""
    good = site.parent / f"{site.name}-good"
    good.mkdir()
    for name in ("zoo_running_mean", "zoo_running_mean-0.1.0.dist-info"):
        shutil.copytree(site / name, good / name)
    check = "from zoo.cli.main import main; import sys; sys.argv[1:] = ['check', 'attention/running_mean']; main()"
    done = python(good, "-c", check)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = int(done.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed > 30
    assert "not run" not in done.stdout
