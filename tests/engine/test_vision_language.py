"""CLIP, small and with random weights."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil

from engine.errors import ModelUnavailableError
from engine.vision_language import VisionLanguageModel, find_clip, prepared

if TYPE_CHECKING:
    from tests.engine.conftest import Photo


@pytest.fixture(scope="module")
def model(random_clip_model: Path) -> VisionLanguageModel:
    torch.set_num_threads(1)
    return VisionLanguageModel(random_clip_model)


def test_pictures_and_words_become_vectors_of_length_one(
    model: VisionLanguageModel, photo: "Photo"
) -> None:
    vectors = [model.picture(photo(40, 60)), model.picture(photo(40, 60, 1)), model.words("a cat")]
    assert all(vector.shape == (12,) for vector in vectors)
    assert [np.linalg.norm(vector) for vector in vectors] == pytest.approx([1, 1, 1])
    assert not np.allclose(vectors[0], vectors[1])
    assert not np.allclose(vectors[2], model.words("a dog"))


@pytest.mark.parametrize("size", [(40, 60), (90, 33), (32, 32)])
def test_pictures_are_prepared_as_clip_was_trained(photo: "Photo", size: tuple[int, int]) -> None:
    picture = photo(*size)
    standard = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    wanted = standard(np.rint(picture * 255).astype(np.uint8), return_tensors="np").pixel_values[0]
    assert np.abs(prepared(picture, 32) - wanted).max() < 0.02


def test_weights_that_are_no_safetensors_are_not_loaded(
    random_clip_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "unsafe"
    shutil.copytree(random_clip_model, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match=r"lacks \*\.safetensors"):
        VisionLanguageModel(folder)


def test_a_damaged_model_is_told(random_clip_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(random_clip_model, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelUnavailableError, match="could not be loaded as a CLIP model"):
        VisionLanguageModel(folder)


def test_a_name_that_is_neither_folder_nor_of_a_hub_is_refused() -> None:
    with pytest.raises(ModelUnavailableError, match='"nowhere" does not exist'):
        find_clip("nowhere", download=False)


def test_a_model_that_is_not_here_is_not_fetched_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="is not on this machine"):
        find_clip("owner/no-such-clip", download=False)
