"""Paints the small pictures that stand for the looks in the product, with the model itself.

python -m training.pocket.thumbnails engine/translation/pocket_model PICTURE

The shipped ones show the kingfisher of the held-out pictures (CC0).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from training.pocket.sample import Sampling, load, paint

PAINTED_SIZE = (384, 288)
SHOWN_SIZE = (160, 120)
BASE = "oil painting"
"""What the modifiers are shown on."""
_QUALITY = 85
_SAMPLING = Sampling()


def paint_thumbnails(model: Path, picture: Path) -> None:
    """Writes `looks/NAME.jpg` into the model's folder for every look and modifier."""
    cv2.setNumThreads(1)
    pipeline = load(model, torch.device("cpu"))
    fitted = ImageOps.fit(Image.open(picture).convert("RGB"), PAINTED_SIZE)
    source = torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None]
    folder = model / "looks"
    folder.mkdir(exist_ok=True)
    for name, prompt in _prompts(model):
        painted = paint(pipeline, source, [prompt], _SAMPLING)[0]
        pixels = (painted * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        shown = Image.fromarray(pixels).resize(SHOWN_SIZE, Image.Resampling.LANCZOS)
        shown.save(folder / f"{name.replace(' ', '-')}.jpg", quality=_QUALITY)


def _prompts(model: Path) -> Iterator[tuple[str, str]]:
    """The name of each look and modifier, and what is painted for it."""
    table = json.loads((model / "looks.json").read_text("utf-8"))
    yield from ((look, f"a {look}") for look in table["looks"])
    yield from ((modifier, f"{BASE}, {modifier}") for modifier in table["modifiers"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "picture"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    paint_thumbnails(options.model, options.picture)
