"""What every painter of key frames offers (section 4.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from engine.plan import Recipe
from engine.report import Report
from engine.settings import TranslationSettings
from engine.types import FloatArray, Flow


@dataclass(frozen=True)
class Trajectory:
    """How a take came about, for others to be painted against it: its latent before every step."""

    model: str
    """Identifies the models that made it: to another one it means nothing."""
    times: tuple[float, ...]
    """Of the levels of noise, by the model's own names."""
    latents: NDArray[Any]
    """[len(times), C, h, w], in the precision in which the model computes."""


class View(Protocol):
    """A frame as a ControlNet may look at it."""

    @property
    def source(self) -> FloatArray:
        """[H, W, 3], painting space."""

    @property
    def control_picture(self) -> FloatArray | None:
        """[H, W, 3], painting space: its frame of the control movie, where the settings ask for
        it.
        """


@dataclass(frozen=True)
class Reference:
    """A take that a key frame is painted against."""

    take: FloatArray
    """[H, W, 3], painting space."""
    source: FloatArray
    """[H, W, 3], painting space: the frame it was painted from."""
    flow: Flow
    """From the frame that is painted to the frame of the take."""
    occlusion: FloatArray
    """[H, W]: 1 where the frame that is painted shows what the frame of the take does not."""
    trajectory: Trajectory | None = None
    """None for a picture of another origin."""
    control_picture: FloatArray | None = None


@dataclass(frozen=True)
class PaintRequest:
    """One key frame to paint."""

    frame: int
    source: FloatArray
    """[H, W, 3], painting space."""
    settings: TranslationSettings
    """With what the key frame sets for itself in place."""
    references: tuple[Reference, ...] = ()
    """Anchor, then previous key frame, where that is another one; only for a painter whose recipe
    says that it paints against others."""
    keep: Callable[[Trajectory], None] = lambda _: None
    """Takes what the painter wants to have again when others are painted against this take."""
    control_picture: FloatArray | None = None


class KeyFramePainter(Protocol):
    """Paints key frames. The same request and recipe give the same picture, bit for bit."""

    def recipe(self, settings: TranslationSettings) -> Recipe:
        """All that a picture depends on besides its source frame.

        Cheap, and imports neither torch nor diffusers: it runs while a plan is made. Raises
        NotFoundError, InvalidValueError or ModelUnavailableError for settings that it cannot paint.
        """

    def advice(self, settings: TranslationSettings) -> str:
        """What of the settings is not understood, for the editor; empty where all is."""

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        """The painting, [H, W, 3] in painting space, of exactly the size of the source."""
