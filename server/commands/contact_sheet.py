"""Pictures of several renders in rows, with names, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.types import FloatArray

_GAP = 4
_MARGIN = 150
"""For the names of the rows."""
_HEADING = 20
_WIDEST = 320
_PAPER, _INK = "white", "black"


def write_contact_sheet(
    path: Path, frames: Sequence[int], rows: Mapping[str, Sequence[FloatArray]]
) -> None:
    """Writes rows of pictures [H, W, 3], all of one size, below the numbers of their frames."""
    height, width = next(iter(rows.values()))[0].shape[:2]
    scale = min(1.0, _WIDEST / width)
    cell_width, cell_height = round(width * scale), round(height * scale)
    size = (
        _MARGIN + len(frames) * (cell_width + _GAP),
        _HEADING + len(rows) * (cell_height + _GAP),
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    lefts = [_MARGIN + column * (cell_width + _GAP) for column in range(len(frames))]
    for left, frame in zip(lefts, frames, strict=True):
        draw.text((left, _HEADING // 2), str(frame), _INK, font, "lm")
    for row, (name, pictures) in enumerate(rows.items()):
        top = _HEADING + row * (cell_height + _GAP)
        draw.text((_GAP, top + cell_height // 2), name, _INK, font, "lm")
        for left, picture in zip(lefts, pictures, strict=True):
            sheet.paste(in_8_bits(picture).resize((cell_width, cell_height)), (left, top))
    sheet.save(path)


def in_8_bits(picture: FloatArray) -> Image.Image:
    """A picture [H, W, 3] in painting space."""
    return Image.fromarray(np.rint(picture.clip(0, 1) * 255).astype(np.uint8))
