"""What work tells of itself while it goes on."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from engine.plan import Blend, Paint, Propagate
from engine.types import FloatArray


class Stage(Enum):
    """What is being done."""

    LOADING_MODEL = "loading model"
    FINDING_CUTS = "finding cuts"
    PAINTING = "painting"
    PROPAGATING = "propagating"
    BLENDING = "blending"


class Report(Protocol):
    """Somebody who watches the work, and may end it."""

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        """Work on `frame` is at `step` of `steps`, the first of which is 1; 0 steps: it cannot be
        known. While a model is loaded, these are its megabytes.
        """

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        """The painting of `frame` has changed; `make` makes a small picture of it, [h, w, 3] in
        painting space, and is called only where somebody looks.
        """

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        """A step of the plan is finished and saved, or was found in the store."""

    def notice(self, text: str) -> None:
        """Something the editor should know although the work goes on."""

    def check_cancelled(self) -> None:
        """Raises CancelledError when the work shall end; to be called often."""
