"""The graphics card of this machine."""

import os
import subprocess
from functools import cache
from importlib.metadata import version


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
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
