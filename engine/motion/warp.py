"""Pictures moved along a flow."""

from engine.native.kernels import processor
from engine.types import FloatArray, Flow


def warp(image: FloatArray, flow: Flow) -> FloatArray:
    """`image` [h, w] or [h, w, C] sampled at p + displacement(p): [H, W] or [H, W, C].

    Bilinear; outside the image its border goes on.
    """
    kernels = processor()
    warped = kernels.warp(kernels.upload(image), kernels.upload(flow.displacement))
    return kernels.download(warped)
