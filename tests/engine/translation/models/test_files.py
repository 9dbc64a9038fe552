"""Models of one's own: which files can be given, what they do, and what is refused."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from engine.errors import InvalidValueError, ModelUnavailableError
from engine.settings import TranslationSettings
from engine.translation.models.files import (
    BASE,
    CONTROLNET,
    DEPTH,
    LORA,
    VAE,
    find_files,
    find_weights,
    standard_folder,
)
from engine.translation.painters import models_of
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder
    from tests.engine.translation.conftest import Shot

Paint = Callable[[TranslationSettings], FloatArray]


@pytest.fixture
def settings(tiny_settings: TranslationSettings) -> TranslationSettings:
    return replace(tiny_settings, steps=4, strength=0.8)


@pytest.fixture
def paint(shot: "Shot", photo: "Photo") -> Paint:
    return lambda settings: shot.paint(photo(64, 64), settings, ())


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


class Hub:
    """What was downloaded from a hub before, as its client keeps it."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def add(self, name: str, files: Mapping[str, Path]) -> None:
        kept = self._cache / f"models--{name.replace('/', '--')}"
        (kept / "refs").mkdir(parents=True)
        (kept / "refs" / "main").write_text("0" * 40)
        for place, file in files.items():
            blob = kept / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            link = kept / "snapshots" / ("0" * 40) / place
            for path in (blob, link):
                path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, blob)
            link.symlink_to(blob)


@pytest.fixture
def hub(offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return Hub(tmp_path / "hub")


def test_what_was_downloaded_once_needs_no_connection(
    hub: Hub, paint: Paint, settings: TranslationSettings, tiny_model: Path, other_vae: Path
) -> None:
    files = [path for path in tiny_model.rglob("*") if path.is_file()]
    hub.add("tiny/base", {str(file.relative_to(tiny_model)): file for file in files})
    hub.add("tiny/vae", {file.name: file for file in other_vae.iterdir()})
    chosen = replace(settings, model="tiny/base", vae="tiny/vae")
    local = replace(settings, vae=str(other_vae))
    assert np.array_equal(paint(chosen), paint(local))
    digests = [model.sha256 for model in models_of(chosen)]
    assert digests == [model.sha256 for model in models_of(local)]


def test_a_single_file_of_a_hub_is_named_after_its_owner_and_name(
    hub: Hub, tiny_single_file: Path, settings: TranslationSettings
) -> None:
    hub.add(
        "tiny/loras", {"ink/fine.safetensors": tiny_single_file, "b.safetensors": tiny_single_file}
    )
    assert find_weights(LORA, "tiny/loras/ink/fine.safetensors").name == "fine.safetensors"
    found = find_files(VAE, "tiny/loras/b.safetensors")
    assert found.folder == standard_folder() / "vae"
    with pytest.raises(ModelUnavailableError, match=r'"tiny/loras/c\.safetensors" is not on this'):
        find_weights(LORA, "tiny/loras/c.safetensors")
    with pytest.raises(ModelUnavailableError, match="does not exist"):
        find_files(DEPTH, "tiny/loras/b.safetensors")


PARAMETERS: Mapping[str, tuple[Any, int]] = {
    "unet": (UNet2DConditionModel, 859_520_964),
    "controlnet": (ControlNetModel, 361_279_120),
    "vae": (AutoencoderKL, 83_653_863),
}
"""As the papers and model cards of Stable Diffusion 1.5 and ControlNet 1.1 count them."""


@pytest.mark.parametrize("part", PARAMETERS)
def test_the_configuration_that_comes_along_is_that_of_stable_diffusion(part: str) -> None:
    network, parameters = PARAMETERS[part]
    with torch.device("meta"):
        made = network.from_config(network.load_config(standard_folder() / part))
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters


def test_the_text_encoder_that_comes_along_is_that_of_clip() -> None:
    network: Any = CLIPTextModel
    with torch.device("meta"):
        encoder = network(CLIPTextConfig.from_pretrained(standard_folder() / "text_encoder"))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 123_060_480
    tokenizer = CLIPTokenizer.from_pretrained(standard_folder() / "tokenizer")
    ids = tokenizer("a photo of an astronaut riding a horse on mars").input_ids
    assert ids == [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407]
    assert tokenizer.pad_token_id == 49407
    assert tokenizer.model_max_length == 77


def test_a_single_file_needs_neither_a_folder_nor_a_connection(
    offline: None, tmp_path: Path
) -> None:
    weights = tmp_path / "photo real.safetensors"
    weights.write_bytes(b"")
    for kind, part in ((BASE, "unet"), (CONTROLNET, "."), (VAE, ".")):
        found = find_files(kind, str(weights))
        assert found.single_file == weights
        assert (found.folder / part / "config.json").is_file()


def test_a_single_file_of_stable_diffusions_autoencoder_is_loaded(
    offline: None, tmp_path: Path
) -> None:
    """Of its real size, by the configuration that comes along."""
    from engine.translation.stable_diffusion.loading import load_part

    network: Any = AutoencoderKL
    made = network.from_config(network.load_config(standard_folder() / "vae")).half()
    made.save_pretrained(tmp_path)
    weights = tmp_path / "vae-ft-mse.safetensors"
    (tmp_path / "diffusion_pytorch_model.safetensors").rename(weights)
    loaded = load_part(network, find_files(VAE, str(weights)), torch.float16)
    assert all(
        torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in made.state_dict().items()
    )


def test_a_vae_takes_the_place_of_the_models_own(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, other_vae: Path, tmp_path: Path
) -> None:
    own = replace(settings, vae=str(tiny_model / "vae"))
    assert np.array_equal(paint(own), paint(settings))
    folder = shutil.copytree(other_vae, tmp_path / "soft")
    (folder / "diffusion_pytorch_model.safetensors").rename(tmp_path / "soft.safetensors")
    single = replace(settings, vae=str(tmp_path / "soft.safetensors"))
    assert np.array_equal(paint(single), paint(replace(settings, vae=str(other_vae))))


def test_a_vae_of_other_latents_is_refused(
    paint: Paint, settings: TranslationSettings, tmp_path: Path
) -> None:
    network: Any = AutoencoderKL
    network(latent_channels=8, block_out_channels=(8,), norm_num_groups=8).save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailableError, match="latents of 8 channels, and the model of 4"):
        paint(replace(settings, vae=str(tmp_path)))
    with pytest.raises(ModelUnavailableError, match="latents of 8 channels, and the model of 4"):
        paint(replace(settings, vae=str(tmp_path)))


def test_a_second_controlnet_adds_to_the_first(
    paint: Paint, settings: TranslationSettings, other_controlnet: Path
) -> None:
    both = replace(settings, controlnet_2=str(other_controlnet))
    assert np.abs(paint(both) - paint(settings)).max() > 1e-3
    silent = replace(both, controlnet_2_weight=0.0)
    assert np.abs(paint(silent) - paint(settings)).max() < 1e-4


def test_two_controlnets_do_the_same_in_either_place(
    paint: Paint, settings: TranslationSettings, other_controlnet: Path, tiny_controlnet: Path
) -> None:
    one = replace(settings, controlnet_2=str(other_controlnet), controlnet_2_weight=0.3)
    other = replace(
        settings,
        controlnet=str(other_controlnet),
        controlnet_image="tile",
        controlnet_weight=0.3,
        controlnet_2=str(tiny_controlnet),
        controlnet_2_image="canny",
        controlnet_2_weight=0.7,
    )
    assert np.abs(paint(one) - paint(other)).max() < 1e-4


def test_a_controlnet_acts_between_its_begin_and_its_end_alone(
    paint: Paint, shot: "Shot", settings: TranslationSettings
) -> None:
    """Of three steps: in the second one."""
    seen: list[int] = []
    middle = replace(settings, controlnet_begin=0.3, controlnet_end=0.6)
    paint(settings)
    loaded: Any = shot.painter._loaded
    network = loaded.model.controlnets[0].network
    with network.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[1][0]))):
        paint(middle)
    assert seen == [251]


def test_a_controlnet_whose_steps_are_not_run_is_noticed(
    paint: Paint, report: "Recorder", settings: TranslationSettings
) -> None:
    paint(replace(settings, controlnet_begin=0.9))
    assert report.notices == [
        "With 3 steps to run, none lies in the window of controlnet, which has no effect: "
        "raise steps or strength, or widen it."
    ]


def test_a_controlnet_that_is_not_used_is_no_part_of_the_recipe(
    shot: "Shot", settings: TranslationSettings
) -> None:
    recipe = shot.painter.recipe
    unused = replace(settings, controlnet_2_weight=0.1, controlnet_2_end=0.5, depth_model="/no")
    assert recipe(unused) == recipe(settings)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"controlnet_2": "a/b", "controlnet_2_image": "canny"}, "are both canny"),
        ({"controlnet_begin": 0.5, "controlnet_end": 0.5}, r"controlnet_begin is 0\.5: choose"),
    ],
    ids=["same", "window"],
)
def test_controlnets_that_contradict_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        TranslationSettings(**changed)


def test_a_controlnet_that_looks_at_a_movie_needs_one(
    shot: "Shot", settings: TranslationSettings
) -> None:
    with pytest.raises(InvalidValueError, match="controlnet_image is movie, and control_movie is"):
        shot.painter.recipe(replace(settings, controlnet_image="movie"))


def test_the_built_in_controlnet_looks_at_canny_edges_alone(shot: "Shot") -> None:
    with pytest.raises(InvalidValueError, match="the built-in ControlNet looks at canny edges"):
        shot.painter.recipe(TranslationSettings(controlnet_image="tile"))


CONVOLUTION = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("name", "channels", "sentence"),
    [
        ("conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", 4, "an SDXL"),
        (CONVOLUTION, 9, "an inpainting model"),
        ("cond_stage_model.model.ln_final.weight", 4, "a Stable Diffusion 2 model"),
        ("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", 4, "a LoRA, which belongs into"),
        ("controlnet_cond_embedding.conv_in.weight", 4, "a ControlNet, which belongs into"),
        ("decoder.conv_in.weight", None, "no whole model"),
    ],
)
def test_a_single_file_of_another_kind_is_named(
    paint: Paint,
    settings: TranslationSettings,
    tmp_path: Path,
    name: str,
    channels: int | None,
    sentence: str,
) -> None:
    tensors = {name: torch.ones(1)}
    if channels:
        tensors[CONVOLUTION] = torch.ones(320, channels, 3, 3)
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ModelUnavailableError, match=rf"odd\.safetensors is {sentence}"):
        paint(replace(settings, model=str(tmp_path / "odd.safetensors")))


def test_a_controlnet_file_of_another_model_is_named(
    paint: Paint, settings: TranslationSettings, tmp_path: Path
) -> None:
    weights = tmp_path / "xl canny.safetensors"
    key = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    save_file({key: torch.ones(640, 2048)}, weights)
    with pytest.raises(
        ModelUnavailableError, match=r"xl canny\.safetensors is a ControlNet for SDXL"
    ):
        paint(replace(settings, controlnet=str(weights)))


def test_an_sdxl_folder_is_named_before_its_weights_are_read(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "xl")
    config = json.loads((copy / "unet" / "config.json").read_text())
    (copy / "unet" / "config.json").write_text(
        json.dumps({**config, "addition_embed_type": "text_time"})
    )
    with pytest.raises(ModelUnavailableError, match="xl is an SDXL model: choose a Stable"):
        paint(replace(settings, model=str(copy)))


def test_a_file_that_can_run_code_is_refused_when_it_is_planned(
    shot: "Shot", settings: TranslationSettings, tmp_path: Path
) -> None:
    pickled = tmp_path / "old.ckpt"
    pickled.write_bytes(b"")
    named: list[dict[str, Any]] = [{name: str(pickled)} for name in ("model", "vae", "controlnet")]
    for change in named:
        with pytest.raises(ModelUnavailableError, match=r"old\.ckpt\" is not a \.safetensors file"):
            shot.painter.recipe(replace(settings, **change))


def test_a_damaged_single_file_is_named(
    paint: Paint, settings: TranslationSettings, tiny_single_file: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_single_file.read_bytes()[:1000])
    with pytest.raises(ModelUnavailableError, match=f"{cut} could not be loaded"):
        paint(replace(settings, model=str(cut)))


def test_what_is_known_of_each_model_is_kept(
    settings: TranslationSettings, tiny_model: Path, other_vae: Path, tmp_path: Path
) -> None:
    """The digest as sha256sum has it; the licence from the file itself, or from the card."""
    folder = shutil.copytree(tiny_model, tmp_path / "base")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: openrail\n---\n# Tiny\n")
    lora = tmp_path / "ink.safetensors"
    told = {"modelspec.license": "CC0", "modelspec.title": "Ink", "modelspec.author": "Ann"}
    save_file({"a": torch.ones(1)}, lora, told)
    chosen = replace(
        settings,
        model=str(folder),
        vae=str(other_vae),
        loras=f"{lora} 0.5",
        controlnet_2=settings.controlnet,
    )
    base, vae, first, second, ink = models_of(chosen)
    assert (first.setting, second.setting) == ("controlnet", "controlnet_2")
    assert first.sha256 == second.sha256
    assert (base.setting, base.name, base.licence) == ("model", str(folder), "openrail")
    assert [part.partition("/")[0] for part in base.sha256] == ["unet", "vae", "text_encoder"]
    assert (vae.setting, vae.licence) == ("vae", "")
    assert (ink.setting, ink.licence, ink.title, ink.author) == ("loras", "CC0", "Ink", "Ann")
    assert ink.sha256 == {lora.name: hashlib.sha256(lora.read_bytes()).hexdigest()}
    assert {model.licence for model in models_of(TranslationSettings())} == {"cc-by-sa-4.0"}


def test_a_file_of_a_hub_is_known_by_the_digest_it_is_kept_under(
    settings: TranslationSettings, other_vae: Path, tmp_path: Path
) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    folder = shutil.copytree(other_vae, tmp_path / "snapshot")
    blob.parent.mkdir()
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(blob)
    weights.symlink_to(blob)
    facts = models_of(replace(settings, vae=str(folder), controlnet=""))
    assert facts[1].sha256 == {weights.name: "ab" * 32}
