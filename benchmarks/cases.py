"""What is measured: a clip, two of its frames and a size, made ready."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.brush import brush_strokes
from benchmarks.carrying import in_floats
from benchmarks.pictures import Pictures, read_pictures
from benchmarks.situation import Picture8, Situation, Way
from benchmarks.yardstick import default_clip
from engine.errors import InvalidValueError
from engine.footage import Footage
from engine.motion.flow import DisFlow
from engine.native.kernels import processor
from engine.plan import Blend, Direction, Paint, Propagate
from engine.propagation.carry import FlowChain
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest
from engine.translation.style import StylePainter
from engine.types import FloatArray, FrameRange, FrameSize

LOOK = "mosaic"
QUICK_SIZES = (FrameSize(640, 360), FrameSize(512, 512))


@dataclass(frozen=True)
class Case:
    """A key frame that is carried to a later frame."""

    clip: Path
    key: int
    target: int
    size: FrameSize
    interpolation: int = cv2.INTER_LANCZOS4
    """As OpenCV numbers it: how frames get their size."""

    def __post_init__(self) -> None:
        if self.target <= self.key:
            raise InvalidValueError(
                f"The target is frame {self.target} and the key frame {self.key}: choose a later "
                "target."
            )

    def read(self) -> Pictures:
        """The frames from this key frame to the one at the other side, as far away if there is
        one. Raises InvalidValueError for a target that is the clip's last frame.
        """
        frames = FrameRange(self.key, 2 * self.target - self.key)
        pictures = read_pictures(self.clip, frames, self.size, self.interpolation)
        last = pictures.clip.frame_range.last
        if last <= self.target:
            raise InvalidValueError(
                f"The target is frame {self.target} and {self.clip.name} ends at {last}: choose an "
                "earlier target."
            )
        return pictures


def named_cases(
    name: str | None, clip: Path | None, key: int | None, target: int | None, size: str | None
) -> list[Case]:
    """A case by its name or the path of its clip, or without one a quick look at two sizes.

    Raises InvalidValueError for what is missing.
    """
    wanted = FrameSize.parse(size) if size else None
    if name == "woman_sculpt":
        if clip is None:
            raise InvalidValueError("The case woman_sculpt needs its clip: name it by --clip.")
        square = wanted or FrameSize(512, 512)
        return [Case(clip, _or(key, 40), _or(target, 45), square, cv2.INTER_CUBIC)]
    if name is None or name == "bigbuckbunny":
        sizes = (wanted,) if wanted else (FrameSize(1920, 1080),) if name else QUICK_SIZES
        path = clip or default_clip()
        return [Case(path, _or(key, 30), _or(target, 33), each) for each in sizes]
    if key is None or target is None or wanted is None:
        raise InvalidValueError(
            f"The case {name} is none of woman_sculpt and bigbuckbunny: for a clip of your own "
            "give --key, --target and --size."
        )
    return [Case(Path(name), key, target, wanted)]


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def situation_of(case: Case, pictures: Pictures, paintings: tuple[str, ...]) -> Situation:
    """The frame in the middle with its flows, composed frame by frame."""
    last = pictures.clip.frame_range.last
    with Footage(pictures, DisFlow()) as footage:
        left, right = (
            _way(key, case.target, direction, pictures, footage)
            for key, direction in ((case.key, Direction.FORWARD), (last, Direction.BACKWARD))
        )
    return Situation(
        clip=pictures.name,
        target=case.target,
        keys=(case.key, last),
        source=pictures.pictures[case.target],
        left=left,
        right=right,
        paintings={name: PAINTINGS[name](left.key_source, case.key) for name in paintings},
    )


def _way(key: int, target: int, direction: Direction, pictures: Pictures, footage: Footage) -> Way:
    previous = target - direction.value
    source, kernels = pictures.pictures[key], processor()
    displacement = np.zeros((*source.shape[:2], 2), np.float32)
    confidence = np.ones(source.shape[:2], np.float32)
    if previous != key:
        to_key = FlowChain(key, direction, footage, kernels).ways_from(previous).to_key
        displacement = kernels.download(to_key.displacement)
        confidence = kernels.download(to_key.confidence)
    return Way(
        key_source=source,
        to_previous=footage.flow(target, previous).displacement,
        from_previous=footage.flow(previous, target).displacement,
        previous_to_key=displacement,
        confidence=confidence,
    )


def _styled(source: Picture8, _frame: int) -> Picture8:
    settings = TranslationSettings(prompt=LOOK, strength=1.0)
    request = PaintRequest(0, in_floats(source), settings)
    return np.rint(StylePainter().paint(request, Unwatched()) * 255).astype(np.uint8)


PAINTINGS: dict[str, Callable[[Picture8, int], Picture8]] = {
    "strokes": brush_strokes,
    LOOK: _styled,
}
"""Paints the source of a key frame; the number makes two paintings differ as a painter's do."""


class Unwatched:
    """A report that nobody reads."""

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        pass

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        pass

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        pass

    def notice(self, text: str) -> None:
        pass

    def check_cancelled(self) -> None:
        pass
