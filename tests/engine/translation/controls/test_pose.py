"""Figures of people for ControlNets that know poses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engine.translation.controls import pose
from engine.translation.controls.pose import draw, load_pose
from engine.types import FloatArray
from tests.engine.translation.conftest import write_pose_model


class BrightSpots:
    """Finds every joint at the brightest spot of what it is shown."""

    device = "cpu"

    def __call__(self, pixel_values: Tensor, dataset_index: Tensor) -> Any:
        assert dataset_index.tolist() == [0]
        assert pixel_values.shape == (1, 3, 64, 48)
        spots = interpolate(pixel_values.mean(1, keepdim=True), (16, 12), mode="area")
        heat = (spots - spots.amin()) / (spots.amax() - spots.amin())
        return SimpleNamespace(heatmaps=heat.expand(1, 17, 16, 12))


@pytest.mark.parametrize("box", [(20, 10, 60, 110), (5, 40, 155, 80), (60, 60, 90, 118)])
def test_joints_are_told_where_they_are_in_the_picture(pose_model: Path, box: Any) -> None:
    left, top, right, bottom = box
    spot = left + 0.7 * (right - left), top + 0.3 * (bottom - top)
    source = np.zeros((120, 160, 3), np.float32)
    cv2.circle(source, [round(value) for value in spot], 4, (1, 1, 1), -1)
    finder: Any = pose._JointFinder(str(pose_model), "cpu")
    finder._network = BrightSpots()
    joints = finder.find(source, box)
    cell = max(1.25 * (right - left) / 12, 1.25 * (bottom - top) / 16)
    assert len(joints) == 18
    for place in joints.values():
        assert np.abs(np.subtract(place, spot)).max() < 0.6 * cell + 1


def test_a_figure_has_the_hues_that_controlnets_for_poses_know() -> None:
    """Joints in the hues of OpenPose; limbs darker, from joint to joint, and only between two."""
    joints = {"neck": (60.0, 20.0), "right shoulder": (20.0, 20.0), "left wrist": (100.0, 100.0)}
    picture = draw([joints], 128, 128)
    assert picture[20, 60].tolist() == pytest.approx([1, 1 / 3, 0], abs=0.01)
    assert picture[20, 20].tolist() == pytest.approx([1, 2 / 3, 0], abs=0.01)
    assert picture[20, 40].tolist() == pytest.approx([0.6, 0, 0], abs=0.01)
    assert picture[100, 100].tolist() == pytest.approx([0, 1, 1 / 3], abs=0.01)
    assert not picture[60:95].any()


@torch.inference_mode()
def test_a_model_with_experts_is_asked_for_the_first(tmp_path: Path) -> None:
    """ViTPose++: its first expert is that for COCO."""
    finder: Any = pose._JointFinder(str(write_pose_model(tmp_path, experts=2)), "cpu")
    source = np.random.default_rng(0).random((64, 96, 3), np.float32)
    assert len(finder.find(source, (10, 10, 60, 60))) == 18


@torch.inference_mode()
def test_who_is_not_there_is_not_drawn(
    person_detector: Path, pose_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = np.random.default_rng(0).random((64, 96, 3), np.float32)

    def figures() -> FloatArray:
        return load_pose(str(person_detector), str(pose_model), "cpu")(source)

    assert figures().any()
    monkeypatch.setattr(pose, "_PERSON_SCORE", 0.999)
    assert not figures().any()
