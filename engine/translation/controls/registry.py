"""What ControlNets look at: pictures made of the source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from engine.settings import MOVIE, TranslationSettings
from engine.translation.controls.hed import HedEdges, hed_identity
from engine.translation.controls.seam import ControlImage
from engine.translation.models.files import (
    DEPTH,
    PERSON_DETECTOR,
    POSE,
    identity,
    pictures_identity,
)
from engine.types import FloatArray

_CANNY_THRESHOLDS = (100, 200)
_USUAL_SIDE = 512
"""The shorter side of the pictures that ControlNets know: blurs are in pixels of such a one."""
_EDGE_BLURS = (1.0, 2.0, 4.0)
_FULL_EDGE = 0.15
"""The step in brightness that is drawn white."""
_STROKE_BLURS = (1.0, 1.6)
_FULL_STROKE = 0.04


@dataclass(frozen=True)
class Preprocessor:
    """How a kind of control image is made."""

    load: Callable[[TranslationSettings, str], ControlImage]
    """For a torch device; imports what it needs."""
    identity: Callable[[TranslationSettings], object] = lambda _: None
    """What identifies the files that it needs; cheap."""


class ControlImages:
    """Makes control images of the source, and keeps what it loaded for that."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._loaded: dict[str, ControlImage] = {}

    def make(self, kind: str, settings: TranslationSettings, source: FloatArray) -> FloatArray:
        """Raises ModelUnavailableError where a network for it is missing."""
        name = f"{kind} {image_identity(kind, settings)}"
        if name not in self._loaded:
            self._loaded[name] = PREPROCESSORS[kind].load(settings, self._device)
        return self._loaded[name](source)


def image_identity(kind: str, settings: TranslationSettings) -> object:
    """What identifies how a control image is made, besides its kind."""
    if kind == MOVIE:
        return pictures_identity(settings.control_movie)
    return PREPROCESSORS[kind].identity(settings)


def canny(source: FloatArray) -> FloatArray:
    """White edges on black, one pixel wide."""
    brightness = np.rint(_brightness(source) * 255).astype(np.uint8)
    return _three_channels(np.float32(1 / 255) * cv2.Canny(brightness, *_CANNY_THRESHOLDS))


def soft_edge(source: FloatArray) -> FloatArray:
    """White edges on black, the brighter the stronger: the mean of gradients at several scales."""
    brightness = _brightness(source)
    edges = [_steps(brightness, blur * _detail(source)) for blur in _EDGE_BLURS]
    return _three_channels(np.mean(edges, axis=0) / _FULL_EDGE)


def line_art(source: FloatArray) -> FloatArray:
    """White strokes on black where the source is darker than around: a difference of Gaussians."""
    brightness = _brightness(source)
    near, around = (_blurred(brightness, blur * _detail(source)) for blur in _STROKE_BLURS)
    return _three_channels((around - near) / _FULL_STROKE)


def tile(source: FloatArray) -> FloatArray:
    """The source itself."""
    return source


def _soft_edge(_: TranslationSettings, device: str) -> ControlImage:
    return HedEdges(device) if hed_identity() else soft_edge


def _depth(settings: TranslationSettings, device: str) -> ControlImage:
    from engine.translation.controls.depth import load_depth

    return load_depth(settings.depth_model, device)


def _pose(settings: TranslationSettings, device: str) -> ControlImage:
    from engine.translation.controls.pose import load_pose

    return load_pose(settings.person_detector, settings.pose_model, device)


def _pose_identity(settings: TranslationSettings) -> object:
    detector = identity(PERSON_DETECTOR, settings.person_detector)
    return [detector, identity(POSE, settings.pose_model)]


PREPROCESSORS: Mapping[str, Preprocessor] = MappingProxyType(
    {
        "canny": Preprocessor(lambda *_: canny),
        "soft_edge": Preprocessor(_soft_edge, lambda _: hed_identity()),
        "line_art": Preprocessor(lambda *_: line_art),
        "tile": Preprocessor(lambda *_: tile),
        "depth": Preprocessor(_depth, lambda settings: identity(DEPTH, settings.depth_model)),
        "pose": Preprocessor(_pose, _pose_identity),
    }
)


def _steps(brightness: FloatArray, blur: float) -> FloatArray:
    """How far the brightness changes over the width of the blur."""
    smooth = _blurred(brightness, blur)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    # Not cv2.magnitude, whose last bit depends on where in memory its arrays lie (OpenCV 5.0.0.93).
    return np.asarray(np.sqrt(across**2 + down**2) * (2 * blur), np.float32)


def _blurred(picture: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def _detail(source: FloatArray) -> float:
    """Pixels of the source to one of a picture of the usual size; at least 0.5."""
    height, width = source.shape[:2]
    return float(max(min(height, width) / _USUAL_SIDE, 0.5))


def _brightness(source: FloatArray) -> FloatArray:
    return np.asarray(cv2.cvtColor(source.clip(0, 1), cv2.COLOR_RGB2GRAY), np.float32)


def _three_channels(plane: FloatArray) -> FloatArray:
    return np.repeat(plane.clip(0, 1)[..., None].astype(np.float32), 3, axis=2)
