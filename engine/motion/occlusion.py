"""Where one frame shows what the other does not."""

import numpy as np

from engine.native.kernels import processor
from engine.types import FloatArray, Flow


def occlusion_mask(forward: Flow, backward: Flow) -> FloatArray:
    """1 where a pixel of the first frame has no match in the second, [H, W], with soft edges.

    `forward` leads from the first frame to the second, `backward` from the second to the first.
    A pixel is occluded where the way there and back does not end where it began, and where it
    leads out of the picture. The mask of the former is widened, because flow is least sure next to
    an occlusion, and blurred outwards only.
    """
    kernels = processor()
    ways = (kernels.upload(flow.displacement) for flow in (forward, backward))
    astray = 1 - kernels.download(kernels.trusted(*ways).confidence)
    return np.asarray(np.maximum(astray, _leads_outside(forward)), np.float32)


def _leads_outside(flow: Flow) -> FloatArray:
    height, width = flow.displacement.shape[:2]
    y, x = np.indices((height, width), np.float32)
    x, y = x + flow.displacement[..., 0], y + flow.displacement[..., 1]
    half = np.float32(0.5)  # a pixel reaches this far beyond its centre
    inside = (x >= -half) & (x <= width - half) & (y >= -half) & (y <= height - half)
    return np.asarray(~inside, np.float32)
