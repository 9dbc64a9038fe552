"""Where one frame shows what the other does not."""

import cv2
import numpy as np

from engine.motion.warp import warp
from engine.types import FloatArray, Flow

RELATIVE_TOLERANCE = 0.01
ABSOLUTE_TOLERANCE_PIXELS = 0.5
WIDENED_PIXELS = 9


def occlusion_mask(forward: Flow, backward: Flow) -> FloatArray:
    """1 where a pixel of the first frame has no match in the second, [H, W], with soft edges.

    `forward` leads from the first frame to the second, `backward` from the second to the first.
    A pixel is occluded where the way there and back does not end where it began. The mask is
    widened, because flow is least sure next to an occlusion, and blurred outwards only.
    """
    occluded = _fails_round_trip(forward, backward).astype(np.float32)
    widened = cv2.dilate(occluded, np.ones((WIDENED_PIXELS, WIDENED_PIXELS), np.uint8))
    blurred = cv2.blur(widened, (WIDENED_PIXELS, WIDENED_PIXELS), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.maximum(blurred, occluded), np.float32)


def _fails_round_trip(forward: Flow, backward: Flow) -> np.typing.NDArray[np.bool_]:
    there = forward.displacement
    back = warp(backward.displacement, forward)
    lengths = np.linalg.norm(there, axis=-1) + np.linalg.norm(back, axis=-1)
    apart = np.linalg.norm(there + back, axis=-1)
    return np.asarray(apart > RELATIVE_TOLERANCE * lengths + ABSOLUTE_TOLERANCE_PIXELS)
