"""How long a key frame takes that is painted against others, with everything switched on.

    python -m benchmarks.translation [--device cuda|cpu] [--size 512x512] [--keys 6] [--json]

The networks have the shapes of Stable Diffusion 1.5 with a ControlNet and random weights, which
takes the same time. The yardstick is a plain loop over the same networks as diffusers has them, in
the same run, without references.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from benchmarks.memory import forget_peak_memory, peak_memory_mib
from benchmarks.report import Printer
from engine.errors import InvalidValueError
from engine.plan import Blend, Paint, Propagate
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.painter import PaintRequest, Reference, Trajectory
from engine.types import FloatArray, Flow, FrameSize

if TYPE_CHECKING:
    from benchmarks.random_model import Shapes

SETTINGS = TranslationSettings(
    prompt="an oil painting", negative_prompt="a photo", strength=1.0, steps=20, guidance_scale=7.5
)
_MOTION = 4
"""Pixels from a key frame to the next."""


@dataclass(frozen=True)
class TranslationMeasurement:
    """Key frames of one shot."""

    benchmark: str
    device: str
    size: str
    steps: int
    fused: bool
    """Whether Triton's kernels were used."""
    load_average: float
    load_seconds: float
    seconds_by_key: tuple[float, ...]
    """Without loading; the first three record graphs, and make kernels where none are cached."""
    seconds_per_key: float
    """Of a key frame with an anchor and another previous one, nothing left to prepare; median."""
    plain_seconds: float
    """The plain loop's: two passes of all steps, encodes and decodes."""
    speedup: float
    processor_seconds_per_key: float
    peak_memory_mib: float
    """Of the device: what was taken from it."""
    latents_at_peak_mib: float | None
    """On a card: what was in use at once."""


def main(
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cuda",
    size: Annotated[str, typer.Option(help="for example 512x512")] = "512x512",
    keys: Annotated[int, typer.Option(help="key frames painted, at least 4")] = 7,
    json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Measures the painting of key frames."""
    from benchmarks.random_model import STABLE_DIFFUSION

    width, _, height = size.partition("x")
    measured = measure(FrameSize(int(width), int(height)), device, keys, STABLE_DIFFUSION)
    Printer(json).measurements("Key frames painted against each other", [measured])


def measure(size: FrameSize, device: str, keys: int, shapes: "Shapes") -> TranslationMeasurement:
    """Paints `keys` key frames of a moving picture, and one by the plain loop."""
    if keys < 4:
        raise InvalidValueError(f"keys is {keys}: the first three prepare, choose 4 or more.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import torch

    from benchmarks.plain_loop import PlainLoop
    from benchmarks.random_model import write_random_model
    from engine.graphics_card import can_build_kernels, graphics_card

    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        model, controlnet = write_random_model(Path(folder), shapes, device)
        settings = TranslationSettings(
            **{**vars(SETTINGS), "model": str(model), "controlnet": str(controlnet)}
        )
        forget_peak_memory()
        shot = Shot(settings, moving_picture(size, keys))
        watch = shot.paint_all()
        peak, in_use = _memory(device)
        shot.painter = DiffusionPainter()  # lets go of the model
        plain = PlainLoop(model, controlnet, settings, device)
        plain.paint(size, 2)
        began = time.perf_counter()
        plain.paint(size, settings.steps)
        plain_seconds = time.perf_counter() - began
    seconds = median(watch.seconds[3:])
    return TranslationMeasurement(
        benchmark="translation",
        device=(graphics_card() if device == "cuda" else None) or "cpu",
        size=f"{size.width}x{size.height}",
        steps=settings.steps,
        fused=device == "cuda" and can_build_kernels() and torch.cuda.is_available(),
        load_average=load,
        load_seconds=watch.load_seconds,
        seconds_by_key=tuple(watch.seconds),
        seconds_per_key=seconds,
        plain_seconds=plain_seconds,
        speedup=plain_seconds / seconds,
        processor_seconds_per_key=median(watch.processor_seconds[3:]),
        peak_memory_mib=peak,
        latents_at_peak_mib=in_use,
    )


def _memory(device: str) -> tuple[float, float | None]:
    import torch

    if device == "cpu":
        return peak_memory_mib() or 0.0, None
    reserved, used = torch.cuda.max_memory_reserved(), torch.cuda.max_memory_allocated()
    return reserved / (1 << 20), used / (1 << 20)


@dataclass
class Watch:
    """A Report that measures."""

    load_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    _loading_since: float | None = None

    @contextmanager
    def key(self) -> Iterator[None]:
        """Around the painting of one key frame."""
        loaded_before = self.load_seconds
        began, processor = time.perf_counter(), time.process_time()
        yield
        loading = self.load_seconds - loaded_before
        self.seconds.append(time.perf_counter() - began - loading)
        self.processor_seconds.append(time.process_time() - processor)

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:  # noqa: ARG002
        now = time.perf_counter()
        if stage is Stage.LOADING_MODEL:
            self._loading_since = self._loading_since or now
        elif self._loading_since is not None:
            self.load_seconds += now - self._loading_since
            self._loading_since = None

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None: ...

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None: ...

    def notice(self, text: str) -> None: ...

    def check_cancelled(self) -> None: ...


class Shot:
    """Key frames of a moving picture, each painted against the first and the one before it."""

    def __init__(self, settings: TranslationSettings, sources: Sequence[FloatArray]) -> None:
        self.painter = DiffusionPainter()
        self.settings = settings
        self.sources = sources
        self.takes: list[FloatArray] = []
        self.trajectories: list[Trajectory] = []

    def paint_all(self) -> Watch:
        watch = Watch()
        for key in range(len(self.sources)):
            with watch.key():
                self.paint(key, watch)
        return watch

    def paint(self, key: int, watch: Watch) -> None:
        """Paints a key frame of which those before it are painted."""
        references = tuple(self._reference(key, other) for other in sorted({0, key - 1}) if key)
        request = PaintRequest(
            key, self.sources[key], self.settings, references, keep=self.trajectories.append
        )
        self.takes.append(self.painter.paint(request, watch))

    def _reference(self, key: int, other: int) -> Reference:
        height, width = self.sources[0].shape[:2]
        displacement = np.zeros((height, width, 2), np.float32)
        displacement[..., 0] = (key - other) * _MOTION
        occlusion = np.zeros((height, width), np.float32)
        occlusion[:, -(key - other) * _MOTION :] = 1
        return Reference(
            self.takes[other],
            self.sources[other],
            Flow(displacement),
            occlusion,
            self.trajectories[other],
        )


def moving_picture(size: FrameSize, frames: int) -> list[FloatArray]:
    """Stripes and noise that move to the left, each [H, W, 3]."""
    width = size.width + frames * _MOTION
    noise = np.random.default_rng(0).random((size.height // 8 + 1, width // 8 + 1, 3), np.float32)
    wide = noise.repeat(8, 0).repeat(8, 1)[: size.height, :width]
    return [
        np.ascontiguousarray(wide[:, key * _MOTION : key * _MOTION + size.width])
        for key in range(frames)
    ]


if __name__ == "__main__":
    typer.run(main)
