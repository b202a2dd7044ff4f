"""Provenance of a result: fingerprints of code, versions, hardware, git revision."""

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
from zoo.registry import get_index
from zoo.registry.signatures import locate_module
from zoo.training.source_packages import COMPUTING, ImportTrace, Package, list_imports, trace

_PRESENTATION_ROOMS = frozenset(
    ("api", "catalog", "cli", "conf", "experiments", "hub", "inspect", "report", "statistics", "study", "testing")
)
_PRESENTATION = frozenset(
    (
        "__init__.py",
        "__main__.py",
        "limits.py",
        "config/call_arguments.py",
        "config/classify_overrides.py",
        "config/compose.py",
        "config/config_store.py",
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
        "system/units.py",
    )
)
"""Sources that do not affect the numbers of a run: changes leave results valid."""


@functools.cache
def hash_code() -> str:
    """Computes the SHA-256 of the sources that affect every run: all except components and presentation."""
    root = Path(zoo.__file__).parent
    components = {root.joinpath(*entry.module.split(".")[1:]).with_suffix(".py") for entry in _list_built_in()}
    return _digest(
        file for file in root.rglob("*.py") if _is_computation(file.relative_to(root)) and file not in components
    )


def hash_components(components: Iterable[tuple[str, str]], further: Iterable[str] = ()) -> str:
    """Computes the SHA-256 of the sources of built-in components that a run uses.

    Args:
        components: kind and name of each component; components that they import are added.
        further: modules of zoo that plug-ins and targets import.
    """
    modules = {get_index().get(kind, name).module for kind, name in components} | set(further)
    return _digest_modules(frozenset(modules))


@functools.cache  # the runs of a study share most of them
def _digest_modules(modules: frozenset[str]) -> str:
    return _digest(_find_sources(modules))


def _find_sources(modules: frozenset[str]) -> tuple[Path, ...]:
    """Finds the files of built-in components among modules, and of components that they import."""
    files = {entry.module: locate_module(entry.module) for entry in _list_built_in()}
    ahead, chosen = set(modules), set[str]()
    while ahead := (ahead & set(files)) - chosen:
        chosen |= ahead
        ahead = {each for module in ahead for each in list_imports(files[module], module.rpartition(".")[0])}
    return tuple(files[module] for module in chosen)


def find_packages(components: Iterable[tuple[str, str]], targets: Iterable[str]) -> ImportTrace:
    """Finds the packages that plug-in components and the modules of targets import, besides zoo."""
    modules = {get_index().get(kind, name).module for kind, name in components}
    modules |= {target.rpartition(".")[0] for target in targets}
    return trace(tuple(sorted(module for module in modules if module.split(".")[0] not in ("zoo", *COMPUTING))))


def hash_packages(packages: Iterable[Package]) -> str:
    """Computes the SHA-256 of names, versions and sources of packages."""
    return hashlib.sha256(repr([astuple(package) for package in packages]).encode()).hexdigest()


@functools.cache
def hash_hub() -> str:
    """Computes the SHA-256 of the sources that read checkpoints, for runs that start from one."""
    return _digest((Path(zoo.__file__).parent / "hub").rglob("*.py"))


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(set(files)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _list_built_in() -> list[Any]:
    return [entry for entry in get_index().entries.values() if entry.module.startswith("zoo.")]


def _is_computation(path: Path) -> bool:
    return path.parts[0] not in _PRESENTATION_ROOMS and path.as_posix() not in _PRESENTATION


def collect_versions() -> dict[str, str]:
    """Collects the versions of zoo, Python and the packages that compute."""
    packages = {name: version(name) for name in COMPUTING}
    return {"zoo": zoo.__version__, "python": platform.python_version(), **packages}


def describe_hardware() -> dict[str, Any]:
    """Describes CPU, threads and GPUs of this machine."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": _find_processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpus": gpus}


def _find_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@functools.cache
def find_git_revision() -> str | None:
    """Finds the git revision of zoo, with ``+`` if there are uncommitted changes; None outside of a checkout."""
    root = Path(zoo.__file__).parent
    try:
        revision = _run_git(root, "rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _run_git(root, "status", "--porcelain", "--", str(root)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class PeakMemory:
    """Peak memory of this process since the creation of this object.

    Reads ``/proc`` rather than psutil, which cannot reset the peak.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):  # resets the peak on Linux; elsewhere it is that of the whole process
            Path("/proc/self/clear_refs").write_text("5", encoding="utf8")

    def read_bytes(self) -> int:
        """Reads the peak in bytes: GPU memory if a GPU was used, else resident memory."""
        if torch.cuda.is_available() and (peak := torch.cuda.max_memory_allocated()):
            return int(peak)
        try:
            lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


class Energy:
    """Energy used by all visible GPUs since the creation of this object, including other processes on them.

    Requires NVML (``nvidia-ml-py``) and GPUs that count energy. Energy of CPUs cannot be attributed to a run.
    """

    def __init__(self) -> None:
        self._begun = _read_joules()

    def read_joules(self) -> float | None:
        """Reads the energy in joules; None if unknown."""
        now = _read_joules()
        return None if now is None or self._begun is None else now - self._begun


def _read_joules() -> float | None:
    if not torch.cuda.is_available():
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        names = (f"GPU-{torch.cuda.get_device_properties(i).uuid}" for i in range(torch.cuda.device_count()))
        millijoules = (pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(n)) for n in names)
        return float(sum(millijoules)) / 1000
    except Exception:  # a missing energy counter must not fail a run
        return None
