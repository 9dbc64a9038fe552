"""What every painter of key frames offers (section 4.1)."""

from dataclasses import dataclass
from typing import Protocol

from engine.plan import Recipe
from engine.report import Report
from engine.settings import TranslationSettings
from engine.types import FloatArray


@dataclass(frozen=True)
class PaintRequest:
    """One key frame to paint."""

    frame: int
    source: FloatArray
    """[H, W, 3], painting space."""
    settings: TranslationSettings
    """With the key frame's own prompt, strength and seed in place."""
    references: tuple[FloatArray, ...] = ()
    """Takes of the anchor and of the previous key frame, [H, W, 3]; only for a painter whose
    recipe says that it paints against others."""


class KeyFramePainter(Protocol):
    """Paints key frames. The same request and recipe give the same picture, bit for bit."""

    def recipe(self, settings: TranslationSettings) -> Recipe:
        """All that a picture depends on besides its source frame.

        Cheap, and imports neither torch nor onnxruntime: it runs while a plan is made. Raises
        NotFoundError, InvalidValueError or ModelUnavailableError for settings that it cannot paint.
        """

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        """The painting, [H, W, 3] in painting space, of exactly the size of the source."""
