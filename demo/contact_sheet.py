"""A picture of a whole render: source above result, key frames marked."""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_GAP = 4
_LABEL_HEIGHT = 16
_BACKGROUND = (24, 24, 26)
_TEXT = (200, 200, 200)
_KEY = (232, 163, 61)


def write_contact_sheet(
    path: Path,
    sources: Sequence[NDArray[np.uint8]],
    results: Sequence[NDArray[np.uint8]],
    key_frames: Container[int],
    columns: int = 10,
    cell_width: int = 200,
) -> None:
    """Writes all frames as one PNG; pictures are [H, W, 3]."""
    height, width = results[0].shape[:2]
    cell_height = round(cell_width * height / width)
    row_height = _LABEL_HEIGHT + 2 * cell_height + 2 * _GAP
    rows = -(-len(results) // columns)
    sheet = Image.new(
        "RGB",
        (columns * (cell_width + _GAP) + _GAP, rows * (row_height + _GAP) + _GAP),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    for index, pictures in enumerate(zip(sources, results, strict=True)):
        row, column = divmod(index, columns)
        x, y = _GAP + column * (cell_width + _GAP), _GAP + row * (row_height + _GAP)
        is_key = index in key_frames
        draw.text((x + 2, y + 2), f"{index}  key frame" if is_key else f"{index}", _TEXT)
        y += _LABEL_HEIGHT
        for picture in pictures:
            cell = Image.fromarray(picture).resize((cell_width, cell_height), Image.Resampling.BOX)
            sheet.paste(cell, (x, y))
            y += cell_height + _GAP
        if is_key:
            top = y - cell_height - _GAP
            draw.rectangle(
                (x, top, x + cell_width - 1, top + cell_height - 1), outline=_KEY, width=3
            )
    sheet.save(path)
