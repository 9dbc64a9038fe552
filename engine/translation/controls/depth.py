"""The depth of a picture, by an estimation network of transformers."""

import cv2
import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from engine.translation.controls.seam import ControlImage, loading_errors
from engine.translation.models.files import DEPTH, find_files
from engine.types import FloatArray


def load_depth(name: str, device: str) -> ControlImage:
    """Near is white, far is black, as ControlNets for depth want it.

    Raises ModelUnavailableError.
    """
    folder = find_files(DEPTH, name).folder
    with loading_errors(folder, "estimates depth", "depth-anything/Depth-Anything-V2-Small-hf"):
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        network = AutoModelForDepthEstimation.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
    network = network.to(device).eval()
    is_distance = getattr(network.config, "depth_estimation_type", "relative") == "metric"

    def depth(source: FloatArray) -> FloatArray:
        height, width = source.shape[:2]
        eight_bit = np.rint(source.clip(0, 1) * 255).astype(np.uint8)
        seen = processor(images=eight_bit, return_tensors="pt").to(device)
        found = network(**seen).predicted_depth[0].float().cpu().numpy()
        near = cv2.resize(found, (width, height), interpolation=cv2.INTER_CUBIC)
        near = -near if is_distance else near
        spread = np.ptp(near) or 1.0
        scaled = ((near - near.min()) / spread).clip(0, 1).astype(np.float32)
        return np.repeat(scaled[..., None], 3, axis=2)

    return depth
