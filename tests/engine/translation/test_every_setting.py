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
from tests.annotated import SETTINGS, another, that_act

if TYPE_CHECKING:
    from tests.engine.conftest import Recorder

Changes = Mapping[str, Any]

SCENE = MovingScene(FrameSize(128, 64), 3)
KEYS = (0, 2)
VISIBLE = 1e-4
FILES = {name for name, shown in SETTINGS.items() if shown.HasField("names_file")}
VALUES: Changes = {
    "loras": "lora.safetensors 0.5",
    "embeddings": "wonder.safetensors",
    "control_movie": "white.%04d.png",
    "controlnet_image": "line_art",  # which needs no file
    "controlnet_2_image": "line_art",
}
"""Values that no rule finds; that of another setting is found from its annotation."""
BESIDE: Mapping[str, Changes] = {
    "painter": {"prompt": "mosaic"},
    "embeddings": {"prompt": "wonder"},
}
"""What must be set besides, where it is more than what the annotation says."""


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
        ("another controlnet", other_controlnet),
        ("another controlnet_2", other_controlnet),
        ("another vae", other_vae),
        ("depth_model", depth_model),
        ("pose_model", pose_model),
        ("person_detector", person_detector),
    ):
        (folder / name).symlink_to(place)
    copy_with_other_weights(tiny_model, folder / "another model", "unet")
    copy_with_other_weights(depth_model, folder / "another depth_model", ".")
    copy_with_other_weights(pose_model, folder / "another pose_model", ".")
    copy_with_other_weights(person_detector, folder / "another person_detector", ".")
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
        own: Changes = {name: name for name in ("depth_model", "pose_model", "person_detector")}
        files = {**own, "control_movie": "black.%04d.png", **changes}
        settings = RenderSettings(
            translation=replace(tiny_settings, **with_whole_paths(files, places))
        )
        trial = Trial(SCENE, KEYS, Kernels.open("cpu"))
        pictures = trial.paint(settings, report)
        return trial.plan(settings).takes[KEYS[1]], pictures[KEYS[1]]

    return painted


@pytest.mark.parametrize("name", [field.name for field in fields(TranslationSettings)])
def test_it_changes_the_painting_and_its_address(
    painted: Callable[[Changes], tuple[Address, FloatArray]], name: str
) -> None:
    needed = {**that_act(name), **BESIDE.get(name, {})}
    changed = {**needed, name: VALUES.get(name) or another(name)}
    before, after = painted(needed), painted(changed)
    assert before[0] != after[0]
    assert np.abs(before[1] - after[1]).max() > VISIBLE
