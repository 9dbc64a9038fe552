"""The guides of the patch search (section 4.2.1): colour, edge, position and temporal.

A guide is a stack of 8-bit planes at the key frame and at the frame to be made; the patch search
compares them by their weighted squared difference.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.motion.warp import warp
from engine.propagation.carry import positions
from engine.settings import PropagationSettings
from engine.types import FloatArray, Flow

Guides = NDArray[np.uint8]

_COLOR_PLANES = 3
_EDGE_PLANES = 3
_POSITION_PLANES = 2
_TEMPORAL_PLANES = 3


def guide_weights(settings: PropagationSettings) -> FloatArray:
    """The weight of each plane, [11]: a guide's weight is shared by its planes."""
    shares = (
        (settings.color_weight, _COLOR_PLANES),
        (settings.edge_weight, _EDGE_PLANES),
        (settings.position_weight, _POSITION_PLANES),
        (settings.temporal_weight, _TEMPORAL_PLANES),
    )
    return np.concatenate(
        [np.full(planes, weight / planes, np.float32) for weight, planes in shares]
    )


def key_frame_guides(source: FloatArray, take: FloatArray) -> Guides:
    """The guides at the key frame, [H, W, 11]: the temporal guide there is the take itself."""
    stays = Flow(np.zeros((*source.shape[:2], 2), np.float32))
    return _stack(source, positions(stays), take)


def frame_guides(
    source: FloatArray, to_key: Flow, previous: FloatArray, to_previous: Flow
) -> Guides:
    """The guides at a frame, [H, W, 11].

    `to_key` is the composed flow to the key frame; `previous` the picture made for the frame
    before this one, which `to_previous` brings here.
    """
    return _stack(source, positions(to_key), warp(previous, to_previous))


def _stack(source: FloatArray, xy: FloatArray, temporal: FloatArray) -> Guides:
    return np.ascontiguousarray(
        np.concatenate(
            [
                _planes(source),
                _planes(_edges(source)),
                _planes(_coordinates(xy)),
                _planes(temporal),
            ],
            axis=-1,
        )
    )


def _edges(source: FloatArray) -> FloatArray:
    """The 3x3 Laplacian of each channel; 0.5 is flat."""
    laplacian = cv2.Laplacian(source, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(0.5 + 0.5 * laplacian, np.float32)


def _coordinates(xy: FloatArray) -> FloatArray:
    """Positions in the key frame, 0..1 along its longer side, so that a pixel weighs the same in
    both directions.

    They come from the composed float flow and are rounded to 8 bits only here. One step of a plane
    is then 2.5 px in a frame 640 wide and 7.5 px in one 1920 wide, and with the default weights it
    costs half of one step of a colour plane: rounding cannot outweigh the colours. The precise
    position enters the search as the field it starts from.
    """
    longer_side = max(xy.shape[:2]) - 1
    return np.asarray(xy / max(longer_side, 1), np.float32)


def _planes(values: FloatArray) -> Guides:
    """0..1 as 8-bit planes; what lies outside is clipped."""
    return np.asarray(np.rint(values.clip(0, 1) * 255), np.uint8)
