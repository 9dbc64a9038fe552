"""LoRAs of several tools, mixed into the weights of a model."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import InvalidValueError, ModelUnavailableError
from engine.plan import Recipe
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder
    from tests.engine.translation.conftest import Shot

RANK = 2
LAYERS = (
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "unet.up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_out.0",
    "unet.down_blocks.0.resnets.0.conv1",
    "text_encoder.text_model.encoder.layers.1.mlp.fc1",
)


def layer_of(pipeline: Any, name: str) -> Any:
    part, _, path = name.replace("text_model.", "").partition(".")
    return getattr(pipeline, part).get_submodule(path)


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Any:
    pipelines: Any = StableDiffusionPipeline
    return pipelines.from_pretrained(tiny_model, safety_checker=None)


def matrices(pipeline: Any, seed: int) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Down and up of each layer."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name in LAYERS:
        out, *inner = layer_of(pipeline, name).weight.shape
        ones = (1,) * (len(inner) - 1)
        made[name] = (
            torch.randn(RANK, *inner, generator=generator) * 0.3,
            torch.randn(out, RANK, *ones, generator=generator) * 0.3,
        )
    return made


def as_kohya(name: str, down: Tensor, up: Tensor) -> Mapping[str, Tensor]:
    flat = name.replace("text_encoder.", "lora_te.").replace("unet.", "lora_unet.")
    flat = flat.replace(".", "_")
    alpha = torch.tensor(1.0)
    return {
        f"{flat}.lora_down.weight": down,
        f"{flat}.lora_up.weight": up,
        f"{flat}.alpha": alpha,
    }


def as_peft(name: str, down: Tensor, up: Tensor) -> Mapping[str, Tensor]:
    return {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up / RANK}


def as_old_diffusers(name: str, down: Tensor, up: Tensor) -> Mapping[str, Tensor]:
    if ".attn" in name:
        layer, _, projection = name.replace("to_out.0", "to_out").rpartition(".")
        name = f"{layer}.processor.{projection}_lora"
    else:
        name = f"{name}.lora"
    return {f"{name}.down.weight": down, f"{name}.up.weight": up / RANK}


Spelling = Callable[[str, Tensor, Tensor], Mapping[str, Tensor]]


def write_lora(path: Path, pipeline: Any, spelling: Spelling, seed: int = 0) -> Path:
    tensors = {
        key: tensor.contiguous()
        for name, (down, up) in matrices(pipeline, seed).items()
        for key, tensor in spelling(name, down, up).items()
    }
    save_file(tensors, path)
    return path


@pytest.fixture
def lora(tmp_path: Path, pipeline: Any) -> Path:
    return write_lora(tmp_path / "ink and wash.safetensors", pipeline, as_kohya)


class Painted:
    """A painting of a fixed frame."""

    def __init__(self, shot: "Shot", source: FloatArray, settings: TranslationSettings) -> None:
        self._shot, self._source, self._settings = shot, source, settings

    def __call__(self, loras: str) -> FloatArray:
        return self._shot.paint(self._source, replace(self._settings, loras=loras), ())

    def recipe(self, loras: str) -> Recipe:
        return self._shot.painter.recipe(replace(self._settings, loras=loras))

    def weights(self, name: str) -> Tensor:
        loaded: Any = self._shot.painter._loaded
        weight: Tensor = layer_of(loaded.model, name).weight
        return weight.detach().clone()


@pytest.fixture
def painted(shot: "Shot", photo: "Photo", tiny_settings: TranslationSettings) -> Painted:
    return Painted(shot, photo(64, 64), replace(tiny_settings, steps=3, controlnet=""))


@pytest.mark.parametrize("spelling", [as_kohya, as_peft, as_old_diffusers])
def test_a_lora_adds_its_matrices_however_they_are_named(
    painted: Painted, pipeline: Any, tmp_path: Path, spelling: Spelling
) -> None:
    path = write_lora(tmp_path / "lora.safetensors", pipeline, spelling)
    painted(f"{path} 0.5")
    for name, (down, up) in matrices(pipeline, 0).items():
        own = layer_of(pipeline, name).weight
        delta = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)).reshape(own.shape)
        assert torch.allclose(painted.weights(name), own + 0.5 / RANK * delta, atol=1e-5)


def test_the_scale_that_a_lora_tells_beside_its_matrices_counts(
    painted: Painted, pipeline: Any, tmp_path: Path
) -> None:
    """As diffusers writes what was trained with peft."""
    path, (name, (down, up)) = tmp_path / "a.safetensors", next(iter(matrices(pipeline, 0).items()))
    told = {"lora_adapter_metadata": json.dumps({"unet.r": RANK, "unet.lora_alpha": 6})}
    save_file(dict(as_peft(name, down, up)), path, told)
    painted(str(path))
    own = layer_of(pipeline, name).weight
    told = {"lora_adapter_metadata": json.dumps({"unet.alpha_pattern": {"mid_block": 2}})}
    save_file(dict(as_peft(name, down, up)), tmp_path / "uneven.safetensors", told)
    with pytest.raises(ModelUnavailableError, match="see its alpha_pattern"):
        painted(str(tmp_path / "uneven.safetensors"))
    assert torch.allclose(painted.weights(name), own + 6 / RANK * up @ down / RANK, atol=1e-5)


def test_a_lora_changes_the_painting_by_its_weight(painted: Painted, lora: Path) -> None:
    plain = painted("")
    away = [float(np.abs(painted(f"{lora} {weight}") - plain).mean()) for weight in (0.2, 0.6, 1)]
    assert 1e-3 < away[0] < away[1] < away[2]
    assert np.array_equal(painted(f"{lora}"), painted(f"{lora} 1.0"))


def test_a_painting_does_not_depend_on_what_was_mixed_before(
    painted: Painted, pipeline: Any, lora: Path, tmp_path: Path
) -> None:
    other = write_lora(tmp_path / "other.safetensors", pipeline, as_peft, seed=1)
    plain, both = painted(""), painted(f"{lora} 0.7; {other} -0.3")
    painted(f"{other} 1.3\n{lora} 0.1")
    assert np.array_equal(painted(f"{lora} 0.7\n{other} -0.3"), both)
    assert np.array_equal(painted(f"{lora} 0; {other} 0"), plain)


def test_what_is_seen_of_references_is_seen_with_the_lora_in_use(
    shot: "Shot", photo: "Photo", lora: Path, pipeline: Any, tiny_settings: TranslationSettings
) -> None:
    """Another file of the same name is another LoRA, also for a take that was accepted before."""
    settings = replace(tiny_settings, steps=3, controlnet="", loras=str(lora))
    source = photo(64, 64)
    shot.paint(source, settings)
    references = shot.references(source)
    shot.paint(source, settings, references)
    write_lora(lora, pipeline, as_kohya, seed=1)
    again = shot.paint(source, settings, references)
    shot.painter = DiffusionPainter()
    assert np.array_equal(shot.paint(source, settings, references), again)


def test_another_weight_is_another_recipe_and_loads_nothing(
    painted: Painted, report: "Recorder", lora: Path, tiny_settings: TranslationSettings
) -> None:
    recipe = painted._shot.painter.recipe
    painted(f"{lora} 0.4")
    loaded = len(report.steps_of(Stage.LOADING_MODEL))
    painted(f"{lora} 0.5")
    assert len(report.steps_of(Stage.LOADING_MODEL)) == loaded
    weak, strong = (recipe(replace(tiny_settings, loras=f"{lora} {w}")) for w in (0.4, 0.5))
    assert weak != strong
    assert recipe(replace(tiny_settings, loras=f"{lora} 0")) == recipe(tiny_settings)


@pytest.mark.parametrize(
    "key",
    [
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight",
        "lora_unet_mid_block_resnets_0_conv1.hada_w1_a",
        "unet.mid_block.resnets.7.conv1.lora_A.weight",
        "transformer.blocks.0.lora_A.weight",
    ],
)
def test_what_is_no_lora_for_the_model_is_refused_and_changes_nothing(
    painted: Painted, tmp_path: Path, key: str
) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({key: torch.ones(RANK, 32)}, path)
    before = painted("")
    with pytest.raises(ModelUnavailableError, match=r"odd\.safetensors is no LoRA for this model"):
        painted(str(path))
    assert np.array_equal(painted(""), before)


def test_a_lora_of_another_width_is_refused(painted: Painted, tmp_path: Path) -> None:
    layer = LAYERS[0]
    path = tmp_path / "wide.safetensors"
    tensors = {"lora_A": torch.ones(RANK, 2048), "lora_B": torch.ones(2048, RANK)}
    save_file({f"{layer}.{part}.weight": tensor for part, tensor in tensors.items()}, path)
    with pytest.raises(ModelUnavailableError, match="one for SDXL perhaps"):
        painted(str(path))


def test_a_lora_is_named_once_and_exists_and_cannot_run_code(
    painted: Painted, lora: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValueError, match=r"loras names .* twice"):
        painted(f"{lora} 0.5; {lora}")
    with pytest.raises(ModelUnavailableError, match=r'LoRA "/no/such 2" does not exist'):
        painted("/no/such 2 0.5")
    pickled = tmp_path / "pickled.pt"
    pickled.write_bytes(b"")
    with pytest.raises(ModelUnavailableError, match=r"LoRA .* is not a \.safetensors file"):
        painted(str(pickled))
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        save_file({"a": torch.ones(1)}, tmp_path / "two" / f"{name}.safetensors")
    with pytest.raises(ModelUnavailableError, match=r"holds a\.safetensors, b\.safetensors"):
        painted.recipe(str(tmp_path / "two"))
