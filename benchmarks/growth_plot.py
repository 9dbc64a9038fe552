"""The growth of time as a picture, with logarithmic axes: what is proportional is a straight line
that climbs one decade a decade.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from benchmarks.growth_points import FLOORS, FLOORS_OF_SHARED_SHIFTS, GrowthPoint
from engine.types import FrameSize

_INK, _GRID = "#333333", "#dddddd"
_COLORS = ("#1f6f8b", "#c8553d", "#7a6c9d")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def draw(points: Sequence[GrowthPoint], path: Path) -> None:
    """One panel for each kind of growth, into a PNG file."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 7), layout="constrained")
        panels = figure.subplots(2, 2).flat
        for axes, (grows, label, title) in zip(
            panels,
            (
                ("pixels", "pixels of a frame", "One propagation"),
                ("threads", "threads", "One propagation, 512x512"),
                ("frames", "frames, a key frame every 12", "A clip of 192x108"),
                ("keys", "key frames in 49 frames", "A clip of 192x108"),
            ),
            strict=True,
        ):
            _panel(axes, [point for point in points if point.grows == grows])
            axes.set(xlabel=label, ylabel="seconds", title=title)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)


def _panel(axes: Axes, points: Sequence[GrowthPoint]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(color=_GRID, linewidth=0.6)
    by_device = sorted(points, key=lambda point: (point.device, point.amount))
    grouped = groupby(by_device, key=lambda point: point.device)
    for color, (device, group) in zip(_COLORS, grouped, strict=False):
        _device(axes, list(group), device, color)
    if points and points[0].grows == "pixels":
        _floors(axes)
        axes.xaxis.set_major_locator(FixedLocator([10.0**power for power in (4, 5, 6, 7)]))
    else:
        _tick_amounts(axes, points)
    axes.legend()


def _device(axes: Axes, points: Sequence[GrowthPoint], device: str, color: str) -> None:
    amounts = [point.amount for point in points]
    axes.plot(amounts, [point.seconds for point in points], "o-", color=color, label=device)
    if len(points) > 1:
        first, last = points[0], points[-1]
        slope = -1 if first.grows == "threads" else 1
        ideal = first.seconds * (last.amount / first.amount) ** slope
        if first.grows != "keys":
            axes.plot(
                [first.amount, last.amount],
                [first.seconds, ideal],
                ":",
                color=color,
                linewidth=1,
                label="proportional",
            )


def _floors(axes: Axes) -> None:
    for floors, marker, label in (
        (FLOORS, "v", "floor on an H100"),
        (FLOORS_OF_SHARED_SHIFTS, "^", "floor with shared shifts"),
    ):
        sizes = [FrameSize.parse(size) for size in floors]
        pixels = [size.width * size.height for size in sizes]
        axes.plot(pixels, list(floors.values()), f"{marker}--", color="#999999", label=label)


def _tick_amounts(axes: Axes, points: Sequence[GrowthPoint]) -> None:
    """Few amounts: each is written out."""
    amounts = sorted({point.amount for point in points})
    axes.xaxis.set_major_locator(FixedLocator(amounts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda amount, _: f"{amount:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(lambda seconds, _: f"{seconds:g}")
