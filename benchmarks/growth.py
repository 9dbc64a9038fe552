"""How the time of propagation grows: with pixels, threads, frames and key frames.

    python -m benchmarks.propagation --growth [--with ROWS.jsonl] [--plot growth.png]

Pixels and threads: one propagation of Big Buck Bunny, data resident. Frames and key frames: the
whole pipeline on a small moving pattern, its store in memory, optical flow included.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks.carrying import Propagation, in_floats, parameters_of, taken
from benchmarks.cases import Case, situation_of
from benchmarks.growth_points import FLOORS, FLOORS_OF_SHARED_SHIFTS, GrowthPoint
from benchmarks.pictures import moving_pattern
from benchmarks.report import Printer
from benchmarks.sequence import render
from benchmarks.situation import Situation
from benchmarks.yardstick import default_clip, dis_seconds
from engine.errors import NotFoundError
from engine.native.kernels import Kernels
from engine.system import usable_cores
from engine.types import FrameSize

SIZES = tuple(
    FrameSize(width, height)
    for width, height in (
        (128, 128),
        (256, 256),
        (512, 512),
        (1280, 720),
        (1920, 1080),
        (3840, 2160),
    )
)
KEY, TARGET = 30, 33
THREADS_SIZE = FrameSize(512, 512)
PATTERN_SIZE = FrameSize(192, 108)
FRAMES = (13, 25, 49, 97)
KEY_INTERVAL = 12
KEYS = (2, 3, 5, 9, 17)

_CORES = usable_cores()


def measure_growth(
    device: str,
    quality: str,
    repeats: int,
    beside: Path | None,
    plot: Path | None,
    printer: Printer,
) -> None:
    """Measures, prints a table for each kind of growth, and draws them all.

    `beside` holds rows of propagations on another machine, as --json prints them.
    """
    others = list(_read_points(beside)) if beside else []
    kernels = Kernels.open(device)
    growing = _Growing(kernels, _CORES if device == "cpu" else 0, quality, repeats, printer)
    kinds = {
        "pixels": chain(growing.over_pixels(), others),
        "threads": growing.over_threads(),
        "frames": growing.over_frames(),
        "keys": growing.over_keys(),
    }
    points: list[GrowthPoint] = []
    for grows, measured in kinds.items():
        printer.measurements(f"Growth with {grows}", _kept(measured, points))
    if plot:
        from benchmarks.growth_plot import draw  # matplotlib only where it draws

        draw(points, plot)


def _kept(measured: Iterable[GrowthPoint], points: list[GrowthPoint]) -> Iterator[GrowthPoint]:
    """Each point as soon as it is measured: a run that is ended in the middle has printed some."""
    for point in measured:
        points.append(point)
        yield point


@dataclass(frozen=True)
class _Growing:
    """Measures with the same settings."""

    kernels: Kernels
    threads: int
    quality: str
    repeats: int
    printer: Printer

    def over_pixels(self) -> Iterator[GrowthPoint]:
        for size in SIZES:
            self.printer.comment(f"one propagation at {size}")
            yield self._carried("pixels", _situation(size), self.kernels, self.threads)

    def over_threads(self) -> Iterator[GrowthPoint]:
        """On the processor, whatever device the rest is measured on."""
        situation = _situation(THREADS_SIZE)
        for threads in _doubling(_CORES):
            self.printer.comment(f"one propagation on {threads} threads")
            yield self._carried("threads", situation, Kernels.processor(threads), threads)

    def over_frames(self) -> Iterator[GrowthPoint]:
        for frames in FRAMES:
            self.printer.comment(f"{frames} frames")
            yield self._rendered("frames", frames, range(0, frames, KEY_INTERVAL))

    def over_keys(self) -> Iterator[GrowthPoint]:
        frames = 4 * KEY_INTERVAL + 1
        for count in KEYS:
            self.printer.comment(f"{count} key frames")
            yield self._rendered("keys", frames, range(0, frames, (frames - 1) // (count - 1)))

    def _carried(
        self, grows: str, situation: Situation, kernels: Kernels, threads: int
    ) -> GrowthPoint:
        load_average = os.getloadavg()[0]
        key_source = situation.left.key_source
        propagation = Propagation(situation, key_source, kernels)
        time = propagation.taken(parameters_of(self.quality), self.repeats)
        return GrowthPoint(
            benchmark="growth",
            grows=grows,
            device=kernels.name,
            load_average=load_average,
            size=situation.size,
            threads=threads,
            frames=1,
            keys=1,
            seconds=time.seconds,
            processor_seconds=time.processor_seconds,
            dis_seconds=dis_seconds(in_floats(key_source), in_floats(situation.source)),
            **_floors(situation.size),
        )

    def _rendered(self, grows: str, frames: int, keys: Sequence[int]) -> GrowthPoint:
        load_average = os.getloadavg()[0]
        pictures = moving_pattern(PATTERN_SIZE, frames)
        takes = {key: in_floats(pictures.pictures[key]) for key in keys}
        time = taken(lambda: render(pictures, takes, self.quality, self.kernels), repeats=1)
        return GrowthPoint(
            benchmark="growth",
            grows=grows,
            device=self.kernels.name,
            load_average=load_average,
            size=str(PATTERN_SIZE),
            threads=self.threads,
            frames=frames,
            keys=len(keys),
            seconds=time.seconds,
            processor_seconds=time.processor_seconds,
        )


def _situation(size: FrameSize) -> Situation:
    case = Case(default_clip(), KEY, TARGET, size)
    return situation_of(case, case.read(), ())


def _floors(size: str) -> dict[str, float | None]:
    return {
        "floor_seconds": FLOORS.get(size),
        "floor_of_shared_shifts_seconds": FLOORS_OF_SHARED_SHIFTS.get(size),
    }


def _read_points(path: Path) -> Iterable[GrowthPoint]:
    """Propagations of another machine as points of growth with pixels."""
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: write it by --json on the other machine.")
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["benchmark"] == "propagation":
            yield GrowthPoint(
                benchmark="growth",
                grows="pixels",
                device=row["device"],
                load_average=row["load_average"],
                size=row["size"],
                threads=0,
                frames=1,
                keys=1,
                seconds=row["seconds_per_propagation"],
                processor_seconds=row["processor_seconds_per_propagation"],
                dis_seconds=row["dis_seconds"],
                **_floors(row["size"]),
            )


def _doubling(most: int) -> list[int]:
    return sorted({*(2**power for power in range(int(math.log2(most)) + 1)), most})
