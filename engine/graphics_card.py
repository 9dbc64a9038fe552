"""The graphics card of this machine."""

import os
import subprocess
import sysconfig
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import which


@cache
def graphics_card() -> str | None:
    """The name of the NVIDIA card that torch uses, None without one: asked without importing torch,
    which takes seconds.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if visible in ("", "-1") or "+cpu" in version("torch"):
        return None
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "-i", visible]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


@cache
def can_build_kernels() -> bool:
    """Whether Triton can make kernels for a card: it needs a C compiler and Python's headers."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = os.environ.get("CC") or which("gcc") or which("clang")
    return find_spec("triton") is not None and headers.is_file() and compiler is not None
