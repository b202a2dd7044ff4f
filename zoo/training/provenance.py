"""Where a result comes from: code, versions, hardware, revision."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import resource
import subprocess
from collections.abc import Iterable
from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import zoo
from zoo.registry import index
from zoo.registry.signatures import locate
from zoo.training.source_packages import COMPUTING, Package, Traced, imports_of, trace

_PRESENTATION_ROOMS = frozenset(
    ("api", "catalog", "cli", "conf", "experiments", "hub", "inspect", "report", "statistics", "study", "testing")
)
_PRESENTATION = frozenset(
    (
        "__init__.py",
        "__main__.py",
        "limits.py",
        "units.py",
        "config/call_arguments.py",
        "config/compose.py",
        "config/overrides.py",
        "model/cost.py",
        "model/executed_flops.py",
        "model/footprint.py",
        "registry/__init__.py",
        "registry/entries.py",
        "registry/signatures.py",
        "system/installation.py",
        "system/names.py",
        "system/tables.py",
        "system/terminal.py",
    )
)
"""Sources that no number of a run depends on: a change there leaves results valid."""


@functools.cache
def code_fingerprint() -> str:
    """sha256 over the sources that the numbers of every run depend on: all but components and presentation."""
    root = Path(zoo.__file__).parent
    components = {root.joinpath(*entry.module.split(".")[1:]).with_suffix(".py") for entry in _built_in()}
    return _digest(file for file in root.rglob("*.py") if _matters(file.relative_to(root)) and file not in components)


def components_fingerprint(components: Iterable[tuple[str, str]], further: Iterable[str] = ()) -> str:
    """sha256 over the sources of zoo's own components; others may change without making a run stale.

    Args:
        components: by kind and name; those that they are made of are added.
        further: modules of zoo that plug-ins and targets import.
    """
    modules = {index().get(kind, name).module for kind, name in components} | set(further)
    return _digest_modules(frozenset(modules))


@functools.cache  # a study asks for the same ones of each of its runs
def _digest_modules(modules: frozenset[str]) -> str:
    return _digest(_sources(modules))


def _sources(modules: frozenset[str]) -> tuple[Path, ...]:
    """The files of zoo's own components among modules, and of those that they import."""
    files = {entry.module: locate(entry.module) for entry in _built_in()}
    ahead, chosen = set(modules), set[str]()
    while ahead := (ahead & set(files)) - chosen:
        chosen |= ahead
        ahead = {each for module in ahead for each in imports_of(files[module], module.rpartition(".")[0])}
    return tuple(files[module] for module in chosen)


def packages_of(components: Iterable[tuple[str, str]], targets: Iterable[str]) -> Traced:
    """What plug-ins among the components, and modules that targets lie in, import besides zoo."""
    modules = {index().get(kind, name).module for kind, name in components}
    modules |= {target.rpartition(".")[0] for target in targets}
    return trace(tuple(sorted(module for module in modules if module.split(".")[0] not in ("zoo", *COMPUTING))))


def packages_fingerprint(packages: Iterable[Package]) -> str:
    """sha256 over names, versions and sources."""
    return hashlib.sha256(repr([astuple(package) for package in packages]).encode()).hexdigest()


@functools.cache
def hub_fingerprint() -> str:
    """sha256 over the sources that turn a checkpoint into a model, for runs that begin at one."""
    return _digest((Path(zoo.__file__).parent / "hub").rglob("*.py"))


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(set(files)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _built_in() -> list[Any]:
    return [entry for entry in index().entries.values() if entry.module.startswith("zoo.")]


def _matters(path: Path) -> bool:
    return path.parts[0] not in _PRESENTATION_ROOMS and path.as_posix() not in _PRESENTATION


def versions() -> dict[str, str]:
    """Of what computes."""
    packages = {name: version(name) for name in COMPUTING}
    return {"zoo": zoo.__version__, "python": platform.python_version(), **packages}


def hardware() -> dict[str, Any]:
    """Of this machine."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpus": gpus}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@functools.cache
def git_revision() -> str | None:
    """Of the checkout that zoo runs from, with ``+`` if it has changes; None if there is none."""
    root = Path(zoo.__file__).parent
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain", "--", str(root)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class PeakMemory:
    """The most memory that this process held at once since this object was made, in bytes."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):  # Linux forgets the high-water mark; elsewhere it is that of the process
            Path("/proc/self/clear_refs").write_text("5", encoding="utf8")

    def bytes(self) -> int:
        """GPU memory if a GPU was used, else resident memory."""
        if torch.cuda.is_available() and (peak := torch.cuda.max_memory_allocated()):
            return int(peak)
        try:
            lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


class Energy:
    """What the GPUs that this process sees have used since this object was made, all processes on them together.

    Known where NVML is (``nvidia-ml-py``), and where the GPUs count it; that of processors cannot be told apart by run.
    """

    def __init__(self) -> None:
        self._begun = _used_joules()

    def joules(self) -> float | None:
        """None where it is not known."""
        now = _used_joules()
        return None if now is None or self._begun is None else now - self._begun


def _used_joules() -> float | None:
    if not torch.cuda.is_available():
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        names = (f"GPU-{torch.cuda.get_device_properties(i).uuid}" for i in range(torch.cuda.device_count()))
        millijoules = (pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(n)) for n in names)
        return float(sum(millijoules)) / 1000
    except Exception:  # a library or a GPU that does not know is no reason to lose a run
        return None
