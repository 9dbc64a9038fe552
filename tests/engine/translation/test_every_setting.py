"""Every setting of this stage changes the painting and its address, and none is left out."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.media.moving_scene import MovingScene
from engine.native.kernels import Kernels
from engine.plan import Address
from engine.settings import RenderSettings, TranslationSettings
from engine.trial import Trial
from engine.types import FloatArray, FrameSize

if TYPE_CHECKING:
    from tests.engine.conftest import Recorder

Changes = Mapping[str, Any]

SCENE = MovingScene(FrameSize(128, 64), 3)
KEYS = (0, 2)
VISIBLE = 1e-4
TWO: Changes = {"controlnet_2": "other controlnet"}
DEPTH: Changes = {"controlnet_image": "depth", "depth_model": "depth model"}
POSE: Changes = {
    "controlnet_image": "pose",
    "pose_model": "pose model",
    "person_detector": "person detector",
}
FILES = (
    "model",
    "vae",
    "loras",
    "embeddings",
    "controlnet",
    "controlnet_2",
    "depth_model",
    "pose_model",
    "person_detector",
    "control_movie",
)
MOVIE: Changes = {"controlnet_image": "movie", "control_movie": "black.%04d.png"}

CHANGES: Mapping[str, tuple[Changes, Any]] = {
    "painter": ({"prompt": "mosaic"}, "style"),
    "prompt": ({}, "a dog"),
    "negative_prompt": ({}, "ugly"),
    "strength": ({}, 0.5),
    "seed": ({}, 4),
    "sampler": ({}, "lcm"),
    "steps": ({}, 8),
    "guidance_scale": ({}, 3.0),
    "model": ({}, "other model"),
    "vae": ({}, "other vae"),
    "loras": ({}, "lora.safetensors 0.5"),
    "embeddings": ({"prompt": "a wonder"}, "wonder.safetensors"),
    "freeu": ({}, True),
    "controlnet": ({}, "other controlnet"),
    "controlnet_image": ({}, "line_art"),
    "controlnet_weight": ({}, 0.1),
    "controlnet_begin": ({}, 0.5),
    "controlnet_end": ({}, 0.5),
    "controlnet_2": ({}, "other controlnet"),
    "controlnet_2_image": (TWO, "line_art"),
    "controlnet_2_weight": (TWO, 0.1),
    "controlnet_2_begin": (TWO, 0.5),
    "controlnet_2_end": (TWO, 0.5),
    "depth_model": (DEPTH, "other depth model"),
    "pose_model": (POSE, "other pose model"),
    "person_detector": (POSE, "other person detector"),
    "control_movie": (MOVIE, "white.%04d.png"),
    "cross_frame_attention": ({}, "everywhere"),
    "shape_fusion": ({}, False),
    "pixel_fusion": ({}, False),
    "fusion_strength": ({}, 1.0),
    "fusion_detail": ({}, 0.0),
    "adain": ({}, False),
    "match_colors": ({}, True),
    "shape_fusion_end": ({}, 0.5),
    "pixel_fusion_begin": ({}, 0.2),
    "pixel_fusion_end": ({}, 1.0),
    "adain_begin": ({}, 0.5),
}
"""Of each setting: others that it needs in order to act, and another value."""


@pytest.fixture(scope="module")
def places(
    tiny_model: Path,
    other_controlnet: Path,
    other_vae: Path,
    depth_model: Path,
    pose_model: Path,
    person_detector: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with the files that the changes name."""
    folder = tmp_path_factory.mktemp("places")
    for name, place in (
        ("other controlnet", other_controlnet),
        ("other vae", other_vae),
        ("depth model", depth_model),
        ("pose model", pose_model),
        ("person detector", person_detector),
    ):
        (folder / name).symlink_to(place)
    copy_with_other_weights(tiny_model, folder / "other model", "unet")
    copy_with_other_weights(depth_model, folder / "other depth model", ".")
    copy_with_other_weights(pose_model, folder / "other pose model", ".")
    copy_with_other_weights(person_detector, folder / "other person detector", ".")
    torch.manual_seed(5)
    layer = "lora_unet_down_blocks_0_attentions_0_proj_in"
    down, up = torch.randn(2, 32), torch.randn(32, 2)
    lora = {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
    save_file(lora, folder / "lora.safetensors")
    save_file({"emb_params": torch.randn(2, 32)}, folder / "wonder.safetensors")
    for name, level in (("black", 0), ("white", 255)):
        for index in range(SCENE.frames):
            picture = np.full((64, 128, 3), level, np.uint8)
            cv2.imwrite(str(folder / f"{name}.{index:04d}.png"), picture)
    return folder


def copy_with_other_weights(folder: Path, target: Path, part: str) -> None:
    """A model in diffusers layout whose networks in one of its folders say something else."""
    shutil.copytree(folder, target)
    torch.manual_seed(6)
    for file in (target / part).glob("*.safetensors"):
        own = load_file(file)
        others = {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in own.items()}
        save_file(others, file, {"format": "pt"})


def with_whole_paths(changes: Changes, places: Path) -> Changes:
    return {
        name: f"{places}/{value}" if name in FILES else value for name, value in changes.items()
    }


@pytest.fixture
def painted(
    report: "Recorder", tiny_settings: TranslationSettings, places: Path
) -> Callable[[Changes], tuple[Address, FloatArray]]:
    def painted(changes: Changes) -> tuple[Address, FloatArray]:
        """The second key frame of a clip: where it is kept, and its picture."""
        settings = RenderSettings(
            translation=replace(tiny_settings, **with_whole_paths(changes, places))
        )
        trial = Trial(SCENE, KEYS, Kernels.open("cpu"))
        pictures = trial.paint(settings, report)
        return trial.plan(settings).takes[KEYS[1]], pictures[KEYS[1]]

    return painted


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_the_painting_and_its_address(
    painted: Callable[[Changes], tuple[Address, FloatArray]], name: str
) -> None:
    needed, other = CHANGES[name]
    before, after = painted(needed), painted({**needed, name: other})
    assert before[0] != after[0]
    assert np.abs(before[1] - after[1]).max() > VISIBLE


def test_none_is_left_out() -> None:
    assert list(CHANGES) == [field.name for field in fields(TranslationSettings)]
