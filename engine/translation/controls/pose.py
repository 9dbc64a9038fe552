"""The poses of people, by two networks of transformers: one finds them, the other their joints.

What is drawn are the figures of OpenPose (Cao et al. 2019), which ControlNets for poses know:
eighteen joints and the seventeen limbs between them, each in a hue of its own.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    VitPoseForPoseEstimation,
)

from engine.translation.controls.seam import ControlImage, loading_errors
from engine.translation.models.files import PERSON_DETECTOR, POSE, find_files
from engine.types import FloatArray

_PERSON_SCORE, _JOINT_SCORE = 0.5, 0.3
"""What is less sure is not drawn."""
_MARGIN = 1.25
"""How much larger than a person the patch is in which joints are looked for."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pictures that the network for joints was trained with."""

_COCO = (
    "nose",
    "left eye",
    "right eye",
    "left ear",
    "right ear",
    "left shoulder",
    "right shoulder",
    "left elbow",
    "right elbow",
    "left wrist",
    "right wrist",
    "left hip",
    "right hip",
    "left knee",
    "right knee",
    "left ankle",
    "right ankle",
)
"""The joints in the order in which the network tells them."""
_CHAINS = (
    ("neck", "right shoulder"),
    ("neck", "left shoulder"),
    ("right shoulder", "right elbow", "right wrist"),
    ("left shoulder", "left elbow", "left wrist"),
    ("neck", "right hip", "right knee", "right ankle"),
    ("neck", "left hip", "left knee", "left ankle"),
    ("neck", "nose", "right eye", "right ear"),
    ("nose", "left eye", "left ear"),
)
_LIMBS = tuple(limb for chain in _CHAINS for limb in pairwise(chain))
"""In the order of their hues."""
_JOINTS = (
    "nose",
    "neck",
    "right shoulder",
    "right elbow",
    "right wrist",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right hip",
    "right knee",
    "right ankle",
    "left hip",
    "left knee",
    "left ankle",
    "right eye",
    "left eye",
    "right ear",
    "left ear",
)
"""In the order of their hues."""
_HUES = 18
_LIMB_BRIGHTNESS = 0.6
_USUAL_SIDE, _THICKNESS = 512, 4
"""Of the shorter side of a picture, and how thick limbs are in one of that size, in pixels."""

Joints = Mapping[str, tuple[float, float]]
"""x and y in pixels, of those that are seen."""


def load_pose(detector: str, model: str, device: str) -> ControlImage:
    """Figures on black. Raises ModelUnavailableError."""
    people, joints = _People(detector, device), _JointFinder(model, device)

    def pose(source: FloatArray) -> FloatArray:
        eight_bit = np.rint(source.clip(0, 1) * 255).astype(np.uint8)
        figures = [joints.find(source, box) for box in people.find(eight_bit)]
        return draw(figures, source.shape[0], source.shape[1])

    return pose


def draw(figures: Sequence[Joints], height: int, width: int) -> FloatArray:
    """Figures on black, [height, width, 3] in 0..1."""
    canvas = np.zeros((height, width, 3), np.float32)
    size = max(1.0, _THICKNESS * min(height, width) / _USUAL_SIDE)
    for figure in figures:
        for number, (begin, end) in enumerate(_LIMBS):
            if begin in figure and end in figure:
                color = _LIMB_BRIGHTNESS * _hue(number)
                _draw_limb(canvas, figure[begin], figure[end], size, color)
    for figure in figures:
        for number, joint in enumerate(_JOINTS):
            if joint in figure:
                center = [round(value) for value in figure[joint]]
                cv2.circle(canvas, center, round(size), _hue(number).tolist(), -1, cv2.LINE_AA)
    return canvas.clip(0, 1)


class _People:
    """Finds people in pictures."""

    def __init__(self, name: str, device: str) -> None:
        folder = find_files(PERSON_DETECTOR, name).folder
        with loading_errors(folder, "detects people", "PekingU/rtdetr_r50vd_coco_o365"):
            self._processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            network: Any = AutoModelForObjectDetection.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
            self._person = _person_of(network.config.id2label)
        self._network = network.to(device).eval()

    def find(self, picture: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        """Left, top, right and bottom of each person in a picture [H, W, 3]."""
        seen = self._processor(images=picture, return_tensors="pt").to(self._network.device)
        (found,) = self._processor.post_process_object_detection(
            self._network(**seen), threshold=_PERSON_SCORE, target_sizes=[picture.shape[:2]]
        )
        boxes = found["boxes"][found["labels"] == self._person].float().cpu().tolist()
        return [(left, top, right, bottom) for left, top, right, bottom in boxes]


class _JointFinder:
    """Finds the joints of one person."""

    def __init__(self, name: str, device: str) -> None:
        folder = find_files(POSE, name).folder
        with loading_errors(folder, "finds joints", "usyd-community/vitpose-base-simple"):
            network: Any = VitPoseForPoseEstimation.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
            if network.config.num_labels != len(_COCO):
                raise ValueError(f"it knows {network.config.num_labels} joints")
        self._network = network.to(device).eval()
        self._coco = torch.zeros(1, dtype=torch.long, device=device)
        """Which of its experts, where it has some (ViTPose++)."""
        height, width = network.config.backbone_config.image_size
        self._size = np.array([width, height])

    def find(self, source: FloatArray, box: tuple[float, float, float, float]) -> Joints:
        """The joints that are seen of the person in a box of a picture [H, W, 3]."""
        corner, scale = self._patch_of(box)
        back = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(source, back, self._size.tolist(), flags=flags)
        normal = (np.asarray(patch, np.float32) - _MEAN) / _DEVIATION
        pixels = torch.from_numpy(normal.transpose(2, 0, 1)[None].copy()).to(self._network.device)
        found = self._network(pixel_values=pixels, dataset_index=self._coco)
        heat = found.heatmaps[0].float().cpu().numpy()
        places = _peaks(heat) * ((self._size - 1) / (np.array(heat.shape[:0:-1]) - 1))
        joints = {
            joint: (float(x), float(y))
            for joint, (x, y), score in zip(
                _COCO, corner + scale * places, heat.max((1, 2)), strict=True
            )
            if score > _JOINT_SCORE
        }
        if "left shoulder" in joints and "right shoulder" in joints:
            (x, y), (other_x, other_y) = joints["left shoulder"], joints["right shoulder"]
            joints["neck"] = (x + other_x) / 2, (y + other_y) / 2
        return joints

    def _patch_of(
        self, box: tuple[float, float, float, float]
    ) -> tuple[NDArray[np.float64], float]:
        """The first corner of the patch around a box, and pixels of the picture to one of it."""
        left_top, right_bottom = np.array(box[:2]), np.array(box[2:])
        scale = float(_MARGIN * ((right_bottom - left_top) / (self._size - 1)).max())
        return (left_top + right_bottom) / 2 - scale * (self._size - 1) / 2, scale


def _peaks(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """X and y [joints, 2] of the highest place of each map [joints, h, w], to a quarter: the higher
    neighbour pulls.
    """
    peaks = []
    for layer in np.pad(heat, ((0, 0), (1, 1), (1, 1)), mode="edge"):
        y, x = np.unravel_index(layer[1:-1, 1:-1].argmax(), heat.shape[1:])
        across = np.sign(layer[y + 1, x + 2] - layer[y + 1, x])
        down = np.sign(layer[y + 2, x + 1] - layer[y, x + 1])
        peaks.append((x + across / 4, y + down / 4))
    return np.array(peaks)


def _person_of(labels: Mapping[int, str]) -> int:
    for number, label in labels.items():
        if label.casefold() == "person":
            return number
    raise ValueError("it knows no person")


def _hue(number: int) -> NDArray[np.float32]:
    """One of the hues around the wheel, at full strength."""
    hsv = np.array([[[360 * number / _HUES, 1, 1]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def _draw_limb(
    canvas: FloatArray,
    begin: tuple[float, float],
    end: tuple[float, float],
    size: float,
    color: NDArray[np.float32],
) -> None:
    """An ellipse from joint to joint."""
    along = np.subtract(end, begin)
    center = [round(value) for value in np.add(begin, end) / 2]
    axes = [round(float(np.hypot(*along)) / 2), max(1, round(size))]
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    cv2.ellipse(canvas, center, axes, angle, 0, 360, color.tolist(), -1, cv2.LINE_AA)
