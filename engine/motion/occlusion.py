"""Where one frame shows what the other does not."""

from engine.native.kernels import processor
from engine.types import FloatArray, Flow


def occlusion_mask(forward: Flow, backward: Flow) -> FloatArray:
    """1 where a pixel of the first frame has no match in the second, [H, W], with soft edges.

    `forward` leads from the first frame to the second, `backward` from the second to the first.
    A pixel is occluded where the way there and back does not end where it began. The mask is
    widened, because flow is least sure next to an occlusion, and blurred outwards only.
    """
    kernels = processor()
    ways = (kernels.upload(flow.displacement) for flow in (forward, backward))
    return 1 - kernels.download(kernels.trusted(*ways).confidence)
