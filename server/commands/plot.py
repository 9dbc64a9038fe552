"""Lines over the frames of a clip, drawn as a picture."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT = 1200, 260
"""Of one panel."""
_LEFT, _RIGHT, _TOP, _BELOW = 90, 24, 40, 36
_PAPER, _INK, _GRID, _KEY = "#ffffff", "#333333", "#dddddd", "#e8a33d"
_LINE = "#1f6f8b"
_FINER = 2
"""Drawn so many times larger, then reduced: smooth lines."""
_GRID_LINES = 4


@dataclass(frozen=True)
class Panel:
    """One figure, by frame."""

    title: str
    values: Mapping[int, float]
    markers: bool = False
    """Points as well: for figures of few frames."""


def write_plot(path: Path, frames: range, keys: Collection[int], panels: Sequence[Panel]) -> None:
    """Writes the panels below each other; key frames are marked."""
    width, height = _WIDTH * _FINER, _HEIGHT * _FINER
    sheet = Image.new("RGB", (width, height * len(panels)), _PAPER)
    for number, panel in enumerate(panels):
        one = Image.new("RGB", (width, height), _PAPER)
        _draw(ImageDraw.Draw(one), panel, frames, keys)
        sheet.paste(one, (0, number * height))
    sheet.resize((_WIDTH, _HEIGHT * len(panels)), Image.Resampling.BOX).save(path)


def _draw(draw: ImageDraw.ImageDraw, panel: Panel, frames: range, keys: Collection[int]) -> None:
    font = ImageFont.load_default(14 * _FINER)
    left, right = _LEFT * _FINER, (_WIDTH - _RIGHT) * _FINER
    top, bottom = _TOP * _FINER, (_HEIGHT - _BELOW) * _FINER
    lowest, highest = _limits(panel.values.values())

    def x(frame: float) -> float:
        return left + (right - left) * (frame - frames[0]) / max(1, frames[-1] - frames[0])

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - lowest) / (highest - lowest)

    draw.text((left, 10 * _FINER), panel.title, _INK, font)
    for step in range(_GRID_LINES + 1):
        value = lowest + (highest - lowest) * step / _GRID_LINES
        draw.line((left, y(value), right, y(value)), _GRID, _FINER)
        draw.text((left - 8 * _FINER, y(value)), f"{value:.3g}", _INK, font, "rm")
    for key in keys:
        draw.line((x(key), top, x(key), bottom), _KEY, _FINER)
    for frame in sorted({frames[0], frames[len(frames) // 2], frames[-1]}):
        draw.text((x(frame), bottom + 8 * _FINER), str(frame), _INK, font, "mt")
    points = [(x(frame), y(value)) for frame, value in sorted(panel.values.items())]
    draw.line(points, _LINE, 2 * _FINER, "curve")
    for across, down in points if panel.markers else ():
        draw.circle((across, down), 4 * _FINER, _LINE)


def _limits(values: Collection[float]) -> tuple[float, float]:
    """Of the axis: from 0 on where the figures do not lie close together."""
    lowest, highest = min(values), max(values)
    if lowest >= 0 and lowest < 0.5 * highest:
        lowest = 0.0
    return (lowest, highest) if highest > lowest else (lowest - 0.5, highest + 0.5)
