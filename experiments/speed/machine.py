"""The machine and the versions of a measurement."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "lightning", "transformers", "x-transformers", "litgpt", "hydra-core", "joblib", "numpy")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def describe_machine() -> dict[str, Any]:
    """Describes processor, cores, memory and the instructions that matter for matrix products."""
    lines = _read_lines("/proc/cpuinfo")
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    instructions = found.get("flags", "").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": found.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "memory": f"{memory / 2**30:.0f} GiB",
        "instructions": [flag for flag in FLAGS if flag in instructions],
    }


def collect_versions() -> dict[str, str]:
    """Collects the versions of Python and of all packages that are measured, or that measuring needs."""
    return {"python": platform.python_version(), **{name: _find_version(name) for name in PACKAGES}}


def read_load() -> float:
    """Reads the load of the machine: processes that ran or waited to run, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _read_lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf8").splitlines() if file.exists() else []
