"""Pictures as networks take them: padded, as planes, on a device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.types import FloatArray


@dataclass(frozen=True)
class Canvas:
    """Between pictures [H, W, C] and tensors [1, C, H, W] whose sides are multiples."""

    multiple: int
    device: torch.device

    def pixels(self, picture: FloatArray) -> Tensor:
        """A picture [H, W, 3], 0..1, as networks take it: [1, 3, H, W], -1..1."""
        return self.planes(picture.clip(0, 1)) * 2 - 1

    def planes(self, picture: FloatArray) -> Tensor:
        """[H, W, C] as [1, C, H, W]."""
        padded = np.require(pad(picture, self.multiple), requirements=["C", "W"])
        return self.upload(torch.from_numpy(padded)).permute(2, 0, 1)[None].contiguous()

    def upload(self, tensor: Tensor) -> Tensor:
        """On the device, without waiting for what that is doing."""
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        height, width = (-(-side // self.multiple) * self.multiple for side in (height, width))
        return height, width


def picture_of(pixels: Tensor, height: int, width: int) -> FloatArray:
    """The picture [height, width, 3], 0..1, of what networks gave for it padded, -1..1."""
    inside = pixels[0, :, :height, :width].permute(1, 2, 0)
    return np.asarray(((inside + 1) / 2).contiguous().cpu().numpy())


def pad(picture: FloatArray, multiple: int) -> FloatArray:
    """Repeats the last row and column until both sides are multiples: nothing is stretched."""
    height, width = picture.shape[:2]
    if height % multiple == width % multiple == 0:
        return picture
    return np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
