from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from engine.errors import CancelledError
from engine.plan import Blend, Paint, Propagate
from engine.report import Stage
from engine.types import FloatArray

Photo = Callable[..., FloatArray]


@dataclass
class Recorder:
    """A report that remembers, and cancels where it is told to."""

    seen: list[tuple[Stage, int, int, int]] = field(default_factory=list)
    finished: list[tuple[Paint | Propagate | Blend, bool]] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    """Of the last step of each frame."""
    notices: list[str] = field(default_factory=list)
    cancel_at: tuple[Stage, int] | None = None
    """Stage and step in which the person cancels."""
    cancel_after: int | None = None
    """Finished steps after which the person cancels."""
    cancelled: bool = False
    watches: bool = False
    """Whether somebody looks at previews."""
    previews: list[tuple[int, FloatArray]] = field(default_factory=list)

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        self.seen.append((stage, frame, step, steps))
        self.cancelled |= (stage, step) == self.cancel_at

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        if self.watches:
            self.previews.append((frame, make()))

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        self.finished.append((step, reused))
        self.seconds[step.frame] = seconds
        self.cancelled |= len(self.finished) == self.cancel_after

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise CancelledError("The work was cancelled.")

    def steps_of(self, stage: Stage) -> list[tuple[int, int, int]]:
        """Frame, step and steps of all that was reported of the stage."""
        return [(frame, step, steps) for seen, frame, step, steps in self.seen if seen is stage]

    def made(self, kind: type[Paint | Propagate | Blend]) -> list[int]:
        """The frames of the steps of that kind that were not reused."""
        return [
            step.frame for step, reused in self.finished if isinstance(step, kind) and not reused
        ]


@pytest.fixture
def report() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def photo() -> Photo:
    """A made-up picture with soft areas, edges and grain, of any size."""

    def photo(height: int, width: int, seed: int = 0) -> FloatArray:
        random = np.random.default_rng(seed)
        soft = cv2.resize(random.random((5, 7, 3), np.float32), (width, height))
        blocks = cv2.resize(
            random.random((6, 9, 3), np.float32), (width, height), interpolation=cv2.INTER_NEAREST
        )
        grain = random.random((height, width, 3), np.float32)
        return np.ascontiguousarray(0.5 * soft + 0.4 * blocks + 0.1 * grain, np.float32)

    return photo
