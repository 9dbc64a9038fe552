"""The depth of a picture, by an estimation network of transformers."""

import cv2
import numpy as np
import torch
from transformers import AutoModelForDepthEstimation

from engine.errors import ModelUnavailableError
from engine.translation.control_images import ControlImage
from engine.translation.model_files import DEPTH, find_files
from engine.types import FloatArray

_SIDE = 518
"""The shorter side of what the networks look at."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pictures of ImageNet, by which the networks want theirs scaled."""


def load_depth(name: str, device: str) -> ControlImage:
    """Near is white, far is black, as ControlNets for depth want it.

    Raises ModelUnavailableError.
    """
    folder = find_files(DEPTH, name).folder
    try:
        network = AutoModelForDepthEstimation.from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelUnavailableError(
            f"{folder} could not be loaded as a depth model ({str(error).splitlines()[0]}): choose "
            "one for depth estimation with transformers, such as "
            "depth-anything/Depth-Anything-V2-Small-hf."
        ) from error
    network = network.to(device).eval()
    patch = int(getattr(network.config, "patch_size", None) or 14)
    is_distance = getattr(network.config, "depth_estimation_type", "relative") == "metric"

    def depth(source: FloatArray) -> FloatArray:
        height, width = source.shape[:2]
        scale = _SIDE / min(height, width)
        size = tuple(max(round(side * scale / patch), 1) * patch for side in (width, height))
        seen = (cv2.resize(source, size, interpolation=cv2.INTER_CUBIC) - _MEAN) / _DEVIATION
        planes = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)[None]))
        found = network(planes.to(device)).predicted_depth[0].float().cpu().numpy()
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_CUBIC)
        near = -found if is_distance else found
        spread = np.ptp(near) or 1.0
        scaled = ((near - near.min()) / spread).clip(0, 1).astype(np.float32)
        return np.repeat(scaled[..., None], 3, axis=2)

    return depth
