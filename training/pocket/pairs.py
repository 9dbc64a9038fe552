"""Square crops of the pictures, their edges, and the same crops painted in the looks."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.pocket.filters import in_touches, saturate
from training.pocket.looks import LOOKS, Look, modifier_sets
from training.pocket.teacher import Teacher, teacher_file

SIDE = 512
"""Crops have the size that the teacher's strokes and the product's pictures are made for."""
MODIFIER_SETS = modifier_sets()
_CHUNK = 48


@dataclass(frozen=True)
class Pair:
    """One painted picture: which crop, which look, which set of modifiers."""

    crop: int
    look: int
    modifiers: int


class Painter:
    """Paints crops in looks, by the teacher or by filters."""

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        self.teacher = Teacher(teacher_file()).to_device(device, dtype)

    def paint(self, pictures: Tensor, look: Look, modifiers: int) -> Tensor:
        """`pictures` [B, 3, H, W] in 0..1; so is what comes back."""
        if isinstance(look.paint, int):
            styles = torch.full((len(pictures),), look.paint, device=pictures.device)
            painted = look.finish(in_touches(self.teacher(pictures, styles)), pictures)
        else:
            painted = look.paint(pictures)
        for modifier in MODIFIER_SETS[modifiers]:
            painted = modifier.change(painted)
        return painted.clamp(0, 1)


def read_pictures(folder: Path, device: torch.device) -> list[Tensor]:
    """Every JPEG of a folder as uint8 [3, H, W]."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no .jpg: run training.pocket.fetch first.")
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda file: np.array(Image.open(file).convert("RGB")), files))
    return [torch.from_numpy(array).permute(2, 0, 1).to(device) for array in arrays]


def cut_crops(pictures: Sequence[Tensor], count: int, rng: random.Random) -> Tensor:
    """Random squares of random size, mirrored at random, slightly regraded; uint8 [N, 3, S, S]."""
    sizes = [(picture.shape[1] * picture.shape[2]) ** 0.5 for picture in pictures]
    chosen = rng.choices(pictures, weights=[size**0.7 for size in sizes], k=count)
    crops = torch.empty((count, 3, SIDE, SIDE), dtype=torch.uint8, device=pictures[0].device)
    for number, picture in enumerate(chosen):
        crops[number] = _crop(picture, rng)
    return crops


def centre_crop(picture: Tensor) -> Tensor:
    """The largest central square, uint8 [3, S, S]."""
    _, height, width = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return _resized(picture[:, top : top + side, left : left + side])


def find_edges(crops: Tensor, rng: random.Random | None = None) -> Tensor:
    """Canny edges, uint8 0 or 1 [N, S, S]; at the product's thresholds, or at random ones."""
    arrays = crops.permute(0, 2, 3, 1).cpu().numpy()
    lows = [rng.uniform(60, 140) if rng else 100.0 for _ in arrays]

    def edges(array: np.ndarray, low: float) -> np.ndarray:
        return cv2.Canny(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY), low, 2 * low) // 255

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(edges, arrays, lows))
    return torch.from_numpy(np.stack(found)).to(crops.device)


def plan_pairs(crops: int, looks_per_crop: int, rng: random.Random) -> list[Pair]:
    """Several looks for every crop, most of them without modifiers or with one."""
    pairs = [
        Pair(crop, look, _random_modifiers(rng))
        for crop in range(crops)
        for look in rng.sample(range(len(LOOKS)), min(looks_per_crop, len(LOOKS)))
    ]
    return sorted(pairs, key=lambda pair: (pair.look, pair.modifiers))


def painted_chunks(
    pairs: Sequence[Pair], crops: Tensor, painter: Painter
) -> Iterator[tuple[int, Tensor]]:
    """The pairs' pictures in their order, as (number of the first, [B, 3, S, S] in 0..1)."""
    first = 0
    while first < len(pairs):
        kind = (pairs[first].look, pairs[first].modifiers)
        last = first
        while last < len(pairs) and last - first < _CHUNK:
            if (pairs[last].look, pairs[last].modifiers) != kind:
                break
            last += 1
        sources = crops[[pair.crop for pair in pairs[first:last]]].float() / 255
        yield first, painter.paint(sources, LOOKS[kind[0]], kind[1])
        first = last


def _random_modifiers(rng: random.Random) -> int:
    alone = [number for number, members in enumerate(MODIFIER_SETS) if len(members) == 1]
    paired = [number for number, members in enumerate(MODIFIER_SETS) if len(members) == 2]
    draw = rng.random()
    if draw < 0.5:
        return 0
    return rng.choice(alone if draw < 0.85 else paired)


def _crop(picture: Tensor, rng: random.Random) -> Tensor:
    _, height, width = picture.shape
    largest = min(height, width)
    smallest = min(largest, int(0.8 * SIDE))
    side = round(smallest * (largest / smallest) ** rng.random())
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    crop = _resized(picture[:, top : top + side, left : left + side]).float() / 255
    if rng.random() < 0.5:
        crop = crop.flip(-1)
    crop = saturate(crop.pow(rng.uniform(0.8, 1.25))[None], rng.uniform(0.7, 1.3))[0]
    return (crop * 255).round().to(torch.uint8)


def _resized(square: Tensor) -> Tensor:
    resized = functional.interpolate(
        square[None].float(), size=(SIDE, SIDE), mode="bicubic", antialias=True
    )
    return resized[0].round().clamp(0, 255).to(torch.uint8)
