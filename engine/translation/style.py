"""Quick style: looks of the Magenta project, painted by a network that comes with Inbetween.

It is a style transfer network and understands the names of its looks only; in return it paints a
frame of 640x360 in less than a second without a graphics card.
"""

import json
import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np

from engine.errors import InvalidValueError, NotFoundError
from engine.plan import Recipe
from engine.report import Report, Stage
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

# The network's numbers of the looks. The others (1, 3, 6, 7, 9, 17, 21) bury the picture under
# their pattern: a face can no longer be told from the background.
LOOKS: Mapping[str, int] = MappingProxyType(
    {
        "mosaic": 15,
        "oil painting": 0,
        "chiaroscuro": 2,
        "carnival": 4,
        "autumn": 5,
        "pop art": 8,
        "terracotta": 10,
        "stipple": 11,
        "pastel": 12,
        "fauvist": 13,
        "frost": 14,
        "crayon": 16,
        "woodcut": 18,
        "starry night": 19,
        "ember": 20,
        "cubist": 22,
        "old master": 23,
        "ink print": 24,
        "impasto": 25,
    }
)

_NETWORK = "multistyle26"
_STYLES = 26
_MULTIPLE = 4  # the network halves both sides twice
_SMALLEST_SIDE = 32


class StylePainter:
    """Paints one of `LOOKS`; strength mixes it with the source."""

    def recipe(self, settings: TranslationSettings) -> Recipe:
        return Recipe(
            json.dumps(
                {
                    "painter": "style",
                    "look": LOOKS[look_in(settings.prompt)],
                    "strength": settings.strength,
                    "network": _NETWORK,
                    "opencv-python-headless": version("opencv-python-headless"),
                }
            )
        )

    def advice(self, settings: TranslationSettings) -> str:  # noqa: ARG002 - see its description
        return ""

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        report.check_cancelled()
        report.progress(Stage.PAINTING, request.frame)
        stylised = self._stylise(request.source, LOOKS[look_in(request.settings.prompt)])
        return request.source + np.float32(request.settings.strength) * (stylised - request.source)

    def _stylise(self, source: FloatArray, style: int) -> FloatArray:
        height, width = source.shape[:2]
        if min(height, width) < _SMALLEST_SIDE:
            raise InvalidValueError(
                f"The frame of {width}x{height} is too small for the style painter: both sides "
                f"need at least {_SMALLEST_SIDE} pixels."
            )
        padding = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
        padded = np.pad(source, padding, mode="edge").transpose(2, 0, 1)[None]
        picture = _run(np.ascontiguousarray(padded, np.float32), style)
        return np.ascontiguousarray(picture.transpose(1, 2, 0)[:height, :width].clip(0, 1))


def _run(image: FloatArray, style: int) -> FloatArray:
    """The network's picture [3, H, W] of an image [1, 3, H, W].

    It is read anew for each picture, which takes some hundredths of a second: a network that stays
    keeps the memory of its largest picture, a gigabyte and more, and serves one thread only.
    """
    import cv2

    # Named, because OpenCV's older engine crashes with this network.
    network = cv2.dnn.readNetFromONNX(str(_model_file()), cv2.dnn.ENGINE_NEW)
    network.setInput(image, "image")
    network.setInput(np.eye(_STYLES, dtype=np.float32)[style], "style_weights")
    return np.asarray(network.forward()[0], np.float32)


def _model_file() -> Path:
    return Path(str(files("engine.translation") / "style_model" / f"{_NETWORK}.onnx"))


def look_in(prompt: str) -> str:
    """The one look that a prompt names, alone or inside a sentence.

    Raises NotFoundError where it names none, InvalidValueError where it names several.
    """
    words = re.findall(r"\w+", prompt.casefold())
    sentence = f" {' '.join(words)} "
    named = [look for look in LOOKS if f" {look} " in sentence]
    if len(named) == 1:
        return named[0]
    if named:
        raise InvalidValueError(
            f'The prompt "{prompt}" names the looks {" and ".join(named)}: name one of them.'
        )
    raise NotFoundError(
        f'The prompt "{prompt}" names no look of the style painter{_suggestion(words)}. '
        f"Its looks are {', '.join(LOOKS)}."
    )


def _suggestion(words: list[str]) -> str:
    phrases = [
        *words,
        *(f"{first} {second}" for first, second in pairwise(words)),
    ]
    likeness = {
        look: max((SequenceMatcher(None, look, phrase).ratio() for phrase in phrases), default=0.0)
        for look in LOOKS
    }
    closest = max(likeness, key=lambda look: likeness[look])
    return f" (did you mean {closest}?)" if likeness[closest] >= 0.6 else ""
