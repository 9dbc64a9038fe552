"""GMFlow without its published weights: its parts, its files, and pictures of any size."""

import os
import pickle
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import ModelUnavailableError, OutOfMemoryError
from engine.motion.estimators import flow_estimator
from engine.motion.flow import FlowEstimator
from engine.motion.gmflow_network import (
    CHANNELS,
    GmFlowNetwork,
    attend_in_windows,
    match,
    positions,
)
from engine.settings import PropagationSettings
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.motion.conftest import Picture

pytestmark = pytest.mark.usefixtures("one_thread")


def gmflow(weights: Path) -> FlowEstimator:
    settings = PropagationSettings(flow_estimator="gmflow", flow_weights=str(weights))
    return flow_estimator(settings)


def published_shapes() -> Mapping[str, tuple[int, ...]]:
    """The tensors of the published checkpoints without refinement, by their names."""
    shapes: dict[str, tuple[int, ...]] = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.conv2.weight": (128, 128, 1, 1),
        "backbone.conv2.bias": (128,),
        "upsampler.0.weight": (256, 130, 3, 3),
        "upsampler.0.bias": (256,),
        "upsampler.2.weight": (576, 256, 1, 1),
        "upsampler.2.bias": (576,),
    }
    for layer, (before, channels) in enumerate([(64, 64), (64, 96), (96, 128)], start=1):
        name = f"backbone.layer{layer}"
        shapes[f"{name}.0.conv1.weight"] = (channels, before, 3, 3)
        for convolution in ("0.conv2", "1.conv1", "1.conv2"):
            shapes[f"{name}.{convolution}.weight"] = (channels, channels, 3, 3)
        if before != channels:
            shapes[f"{name}.0.downsample.0.weight"] = (channels, before, 1, 1)
            shapes[f"{name}.0.downsample.0.bias"] = (channels,)
    for layer, attention in product(range(6), ("self_attn", "cross_attn_ffn")):
        name = f"transformer.layers.{layer}.{attention}"
        for projection in ("q_proj", "k_proj", "v_proj", "merge"):
            shapes[f"{name}.{projection}.weight"] = (128, 128)
        for norm in ("norm1", "norm2") if attention == "cross_attn_ffn" else ("norm1",):
            shapes[f"{name}.{norm}.weight"] = shapes[f"{name}.{norm}.bias"] = (128,)
        if attention == "cross_attn_ffn":
            shapes[f"{name}.mlp.0.weight"] = (1024, 256)
            shapes[f"{name}.mlp.2.weight"] = (128, 1024)
    for projection in ("q_proj", "k_proj"):
        shapes[f"feature_flow_attn.{projection}.weight"] = (128, 128)
        shapes[f"feature_flow_attn.{projection}.bias"] = (128,)
    return shapes


def features(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(1, height, width, CHANNELS, generator=torch.Generator().manual_seed(seed))


def test_the_network_has_the_tensors_of_the_published_checkpoints() -> None:
    own = {name: tuple(tensor.shape) for name, tensor in GmFlowNetwork().state_dict().items()}
    assert own == published_shapes()


@pytest.mark.parametrize("wrapped", [True, False], ids=["as published", "tensors alone"])
def test_a_checkpoint_with_the_published_names_estimates_flow(
    wrapped: bool, tmp_path: Path, noise: "Picture"
) -> None:
    state = {name: torch.zeros(shape) for name, shape in published_shapes().items()}
    torch.save({"model": state} if wrapped else state, tmp_path / "gmflow.pth")
    flow = gmflow(tmp_path / "gmflow.pth").estimate(noise(40, 40, 1), noise(40, 40, 2))
    assert np.isfinite(flow.displacement).all()


def test_safetensors_give_the_same_flow(
    gmflow_weights: Path, tmp_path: Path, noise: "Picture"
) -> None:
    save_file(torch.load(gmflow_weights)["model"], tmp_path / "gmflow.safetensors")
    pair = noise(40, 50, 1), noise(40, 50, 2)
    flows = [
        gmflow(file).estimate(*pair) for file in (gmflow_weights, tmp_path / "gmflow.safetensors")
    ]
    assert np.array_equal(flows[0].displacement, flows[1].displacement)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (16, 200), (64, 48)])
def test_pictures_of_any_size_have_flow_of_their_size(
    size: tuple[int, int], gmflow_weights: Path, noise: "Picture"
) -> None:
    flow = gmflow(gmflow_weights).estimate(noise(*size, 1), noise(*size, 2)).displacement
    assert flow.shape == (*size, 2)
    assert flow.dtype == np.float32
    assert flow.flags.c_contiguous
    assert np.isfinite(flow).all()


def test_the_same_pictures_give_the_same_bits(gmflow_weights: Path, noise: "Picture") -> None:
    pair = noise(50, 70, 1), noise(50, 70, 2)
    flows = [gmflow(gmflow_weights).estimate(*pair).displacement for _ in range(2)]
    assert np.array_equal(flows[0], flows[1])


@pytest.mark.parametrize(("right", "down"), [(16, 0), (0, 24), (-32, 8)])
def test_flow_leads_from_the_first_picture_to_the_second(
    right: int, down: int, tmp_path: Path
) -> None:
    """With untrained features, which tell places apart well enough to follow a shift by cells."""
    torch.save(_weights_that_match(), tmp_path / "gmflow.pth")
    first = cv2.GaussianBlur(np.random.default_rng(5).random((128, 192, 3), np.float32), (0, 0), 2)
    first = (first - first.min()) / (first.max() - first.min())
    second = np.roll(first, (down, right), axis=(0, 1))
    flow = gmflow(tmp_path / "gmflow.pth").estimate(np.asarray(first, np.float32), second)
    inner = flow.displacement[48:-48, 48:-48]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1)), (right, down), atol=0.5)


def _weights_that_match() -> Mapping[str, Tensor]:
    """Random ones with clear features, a transformer that adds nothing, and propagation that stays
    at its own cell.
    """
    torch.manual_seed(0)
    state = GmFlowNetwork().state_dict()
    for name, tensor in state.items():
        if name.startswith("transformer") and "norm" in name:
            tensor.zero_()
        if name.startswith("feature_flow_attn"):
            tensor.copy_(torch.eye(CHANNELS) if name.endswith("weight") else tensor * 0)
    state["backbone.conv2.weight"] *= 40
    return state


def test_equal_features_match_in_place() -> None:
    same = 10 * features(6, 9)
    assert match(same, same).abs().max() < 1e-5


def test_matching_finds_where_features_went() -> None:
    first = 10 * features(8, 11)
    second = first.roll((2, -3), (1, 2))
    flow = match(first, second)[0]
    torch.testing.assert_close(flow[:6, 3:], torch.tensor([-3.0, 2.0]).expand(6, 8, 2))


@pytest.mark.parametrize("size", [(4, 6), (10, 14)], ids=["even windows", "odd windows"])
@pytest.mark.parametrize("shifted", [False, True])
def test_attention_stays_in_its_window(size: tuple[int, int], shifted: bool) -> None:
    height, width = size
    query, key, value = (features(height, width, seed) for seed in range(3))
    heard = attend_in_windows(query, key, value, shifted=shifted)[0]
    windows = [_windows(side, shifted) for side in size]
    for y, x in product(range(height), range(width)):
        seen = [
            (row, column)
            for row, column in product(range(height), range(width))
            if windows[0][row] == windows[0][y] and windows[1][column] == windows[1][x]
        ]
        keys = torch.stack([key[0, row, column] for row, column in seen])
        values = torch.stack([value[0, row, column] for row, column in seen])
        expected = (keys @ query[0, y, x] / CHANNELS**0.5).softmax(0) @ values
        torch.testing.assert_close(heard[y, x], expected, rtol=1e-4, atol=1e-5)


def _windows(side: int, shifted: bool) -> list[int]:
    """Window of each row or column: two halves, or what half a window further cuts them into."""
    window = side // 2
    start = window // 2 if shifted else 0
    return [(position - start) // window for position in range(side)]


def test_positions_are_waves_that_begin_anew_in_each_window() -> None:
    height, width = 8, 12
    coded = positions(torch.zeros(1, height, width, CHANNELS))
    for y, x, channel in product(range(height), range(width), range(CHANNELS)):
        place, count = (y % 4, 4) if channel < 64 else (x % 6, 6)
        wave = channel % 64 // 2
        angle = 2 * np.pi * (place + 1) / count / 10_000 ** (wave / 32)
        expected = np.cos(angle) if channel % 2 else np.sin(angle)
        assert abs(float(coded[y, x, channel]) - expected) < 1e-5


def test_a_network_with_refinement_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    state = GmFlowNetwork().state_dict()
    state["backbone.trident_conv.weight"] = torch.zeros(128, 128, 3, 3)
    torch.save({"model": state}, tmp_path / "refine.pth")
    assert_refused(tmp_path / "refine.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\x03\x04 cut off", pickle.dumps({"model": 3}, protocol=2)],
    ids=["empty", "text", "cut off", "pickle"],
)
def test_a_file_of_something_else_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    weights = tmp_path / f"weights{suffix}"
    weights.write_bytes(content)
    assert_refused(weights)


def test_a_file_of_other_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    assert_refused(tmp_path / "list.pth")
    wrong_shape = {name: torch.zeros(1) for name in published_shapes()}
    torch.save(wrong_shape, tmp_path / "shapes.pth")
    assert_refused(tmp_path / "shapes.pth")


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    class Intruder:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "intruded"),)

    torch.save({"model": Intruder()}, tmp_path / "evil.pth")
    assert_refused(tmp_path / "evil.pth")
    assert not (tmp_path / "intruded").exists()


def assert_refused(weights: Path) -> None:
    picture: FloatArray = np.zeros((8, 8, 3), np.float32)
    with pytest.raises(ModelUnavailableError) as refusal:
        gmflow(weights).estimate(picture, picture)
    assert str(refusal.value) == (
        f'The flow_weights "{weights}" does not hold what gmflow needs: give a file with GMFlow '
        "without refinement, for example gmflow_sintel-0c07dcb3.pth."
    )


def test_too_little_memory_is_told_with_the_size(
    gmflow_weights: Path, monkeypatch: pytest.MonkeyPatch, noise: "Picture"
) -> None:
    def out_of_memory(*_tensors: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(GmFlowNetwork, "forward", out_of_memory)
    with pytest.raises(OutOfMemoryError, match=r"flow estimator gmflow at 50x40.*choose the flow"):
        gmflow(gmflow_weights).estimate(noise(40, 50, 1), noise(40, 50, 2))
