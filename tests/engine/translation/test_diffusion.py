import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    UNet2DConditionModel,
)

from engine.errors import CancelledError, ModelUnavailableError, OutOfMemoryError
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.canvas import Canvas
from engine.translation.controls.registry import canny
from engine.translation.diffusion import DiffusionPainter
from engine.translation.method.noise import shared_noise
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder

Paint = Callable[..., FloatArray]


@pytest.fixture(scope="module")
def painter() -> DiffusionPainter:
    return DiffusionPainter()


@pytest.fixture
def settings(tiny_model: Path, tiny_controlnet: Path) -> TranslationSettings:
    return TranslationSettings(
        painter="diffusion",
        prompt="a cat",
        strength=0.8,
        guidance_scale=7.5,
        steps=4,
        seed=3,
        model=str(tiny_model),
        controlnet=str(tiny_controlnet),
    )


@pytest.fixture
def paint(painter: DiffusionPainter, report: "Recorder", photo: "Photo") -> Paint:
    def paint(settings: TranslationSettings, size: tuple[int, int] = (64, 64)) -> FloatArray:
        return painter.paint(PaintRequest(5, photo(*size), settings), report)

    return paint


def test_the_same_seed_gives_the_same_bits(paint: Paint, settings: TranslationSettings) -> None:
    assert np.array_equal(paint(settings), paint(settings))


def test_strength_0_keeps_the_source_and_more_strength_gives_the_seed_more_say(
    paint: Paint, photo: "Photo", settings: TranslationSettings
) -> None:
    def seeds_apart(strength: float) -> float:
        one, other = (paint(replace(settings, strength=strength, seed=seed)) for seed in (1, 2))
        return float(np.abs(one - other).mean())

    assert np.array_equal(paint(replace(settings, strength=0.0)), photo(64, 64))
    assert 0 < seeds_apart(0.25) < seeds_apart(1.0)


def test_a_strength_too_small_for_a_step_is_told(
    paint: Paint, photo: "Photo", settings: TranslationSettings, report: "Recorder"
) -> None:
    assert np.array_equal(paint(replace(settings, strength=0.1)), photo(64, 64))
    assert "A strength of 0.1 runs none of 4 steps" in report.notices[-1]
    report.notices.clear()
    paint(replace(settings, strength=0.0))
    assert not report.notices


def test_the_sampler_agrees_with_that_of_diffusers(
    paint: Paint, painter: DiffusionPainter, photo: "Photo", settings: TranslationSettings
) -> None:
    """A loop of another author over the same networks, from the same start."""
    painted = paint(settings)
    model: Any = painter._loaded and painter._loaded.model
    networks: Any = StableDiffusionControlNetImg2ImgPipeline
    controlnets: Any = ControlNetModel
    scheduler: Any = DDIMScheduler
    pipeline = networks(
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        controlnet=controlnets.from_pretrained(settings.controlnet),
        scheduler=scheduler.from_pretrained(
            settings.model, subfolder="scheduler", set_alpha_to_one=True
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(
            "diffusers.pipelines.controlnet.pipeline_controlnet_img2img.randn_tensor",
            lambda shape, **_: shared_noise(settings.seed, "start", tuple(shape)),
        )
        expected = pipeline(
            prompt=settings.prompt,
            negative_prompt=settings.negative_prompt,
            image=model.encode(Canvas(model.multiple, model.device).pixels(photo(64, 64))),
            control_image=torch.from_numpy(canny(photo(64, 64)).transpose(2, 0, 1)[None]),
            strength=settings.strength,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            controlnet_conditioning_scale=settings.controlnet_weight,
            output_type="np",
        ).images[0]
    assert np.abs(painted - expected).max() < 1e-3


def test_guidance_scale_1_asks_the_network_with_the_prompt_alone(
    paint: Paint, painter: DiffusionPainter, settings: TranslationSettings
) -> None:
    """Which is what guidance comes to there, at half of the work."""
    seen: list[int] = []
    paint(settings)
    unet: Any = painter._loaded and painter._loaded.model.unet
    with unet.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0]))):
        alone = paint(replace(settings, guidance_scale=1.0))
        almost = paint(replace(settings, guidance_scale=1.0 + 1e-9))
    assert seen == [1] * 3 + [2] * 3
    assert np.abs(alone - almost).max() < 1e-4


def test_only_the_steps_that_the_strength_asks_for_are_run(
    paint: Paint, report: "Recorder", settings: TranslationSettings
) -> None:
    paint(replace(settings, steps=10, strength=0.3))
    assert report.steps_of(Stage.PAINTING) == [(5, 1, 3), (5, 2, 3), (5, 3, 3)]


@pytest.mark.parametrize("size", [(70, 45), (9, 64), (33, 130)])
def test_a_painting_has_exactly_the_size_of_its_frame(
    paint: Paint, settings: TranslationSettings, size: tuple[int, int]
) -> None:
    painted = paint(replace(settings, steps=2, strength=1.0), size)
    assert painted.shape == (*size, 3)
    assert painted.dtype == np.float32
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_cancelling_ends_a_painting_within_one_step(
    paint: Paint, report: "Recorder", settings: TranslationSettings
) -> None:
    report.cancel_at = (Stage.PAINTING, 2)
    with pytest.raises(CancelledError):
        paint(settings)
    assert report.steps_of(Stage.PAINTING)[-1] == (5, 2, 3)


def test_loading_is_reported_with_its_size_and_happens_once(
    report: "Recorder",
    photo: "Photo",
    settings: TranslationSettings,
    tiny_model: Path,
    tiny_controlnet: Path,
) -> None:
    painter = DiffusionPainter()
    for _ in range(2):
        painter.paint(PaintRequest(5, photo(64, 64), settings), report)
    # That it begins is told first: to find out how much it is may take a download.
    begun, (_, _, megabytes) = report.steps_of(Stage.LOADING_MODEL)
    assert begun == (5, 0, 0)
    weights = [*tiny_model.rglob("*.safetensors"), *tiny_controlnet.rglob("*.safetensors")]
    assert megabytes == pytest.approx(sum(file.stat().st_size for file in weights) / 1e6, abs=1)
    assert report.seen[0][0] is Stage.LOADING_MODEL


def test_changed_model_files_make_another_recipe(
    painter: DiffusionPainter, tmp_path: Path, tiny_model: Path, settings: TranslationSettings
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    settings = replace(settings, model=str(copy))
    before = painter.recipe(settings)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert painter.recipe(settings) != before


@pytest.mark.parametrize("missing", ["unet/config.json", "vae", "tokenizer"])
def test_an_incomplete_folder_is_refused_with_what_it_lacks_when_it_is_planned(
    painter: DiffusionPainter,
    settings: TranslationSettings,
    tiny_model: Path,
    tmp_path: Path,
    missing: str,
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    gone = copy / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(ModelUnavailableError, match=f"incomplete.*lacks.*{missing}"):
        painter.recipe(replace(settings, model=str(copy)))


def test_weights_that_can_run_code_are_not_loaded(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelUnavailableError, match=r"lacks unet/\*\.safetensors"):
        paint(replace(settings, model=str(copy)))
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.write_bytes(b"pickle")
    with pytest.raises(ModelUnavailableError, match=r"not a \.safetensors file"):
        paint(replace(settings, model=str(checkpoint)))


def test_damaged_weights_are_named(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    (copy / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelUnavailableError, match=f"{copy} could not be loaded"):
        paint(replace(settings, model=str(copy)))


def test_an_inpainting_model_is_refused(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "inpainting")
    network: Any = UNet2DConditionModel
    config = network.load_config(copy / "unet")
    network.from_config({**config, "in_channels": 9}).save_pretrained(copy / "unet")
    with pytest.raises(ModelUnavailableError, match="is an inpainting model"):
        paint(replace(settings, model=str(copy)))


def test_a_single_file_with_other_weights_is_refused(
    paint: Paint, settings: TranslationSettings, tiny_model: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "vae.safetensors"
    shutil.copy(tiny_model / "vae" / "diffusion_pytorch_model.safetensors", weights)
    with pytest.raises(ModelUnavailableError, match=f"{weights} is no whole model"):
        paint(replace(settings, model=str(weights)))


def test_a_controlnet_for_another_model_is_refused(
    paint: Paint, settings: TranslationSettings, tiny_model: Path
) -> None:
    """A U-Net's folder has the layout of a ControlNet, but is none."""
    with pytest.raises(ModelUnavailableError, match="unet"):
        paint(replace(settings, controlnet=str(tiny_model / "unet")))


def test_a_model_that_is_nowhere_is_refused_when_it_is_planned(
    painter: DiffusionPainter, settings: TranslationSettings
) -> None:
    with pytest.raises(ModelUnavailableError, match=r'model "/no/such" does not exist'):
        painter.recipe(replace(settings, model="/no/such"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


def test_a_hub_name_without_a_connection_is_named(
    offline: None, paint: Paint, settings: TranslationSettings
) -> None:
    with pytest.raises(ModelUnavailableError, match='"owner/name" is not on this machine'):
        paint(replace(settings, model="owner/name"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
        torch.OutOfMemoryError(),
        MemoryError(),
    ],
    ids=repr,
)
def test_too_little_memory_is_said_with_the_size(
    painter: DiffusionPainter,
    paint: Paint,
    settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    paint(settings)

    def no_memory(*_args: object) -> None:
        raise error

    model: Any = painter._loaded and painter._loaded.model
    monkeypatch.setattr(model.vae, "encode", no_memory)
    with pytest.raises(OutOfMemoryError, match="frame 5 at 64x64"):
        paint(settings)


def test_what_is_not_implemented_is_no_want_of_memory(
    painter: DiffusionPainter,
    paint: Paint,
    settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint(settings)

    def missing(*_args: object) -> None:
        raise NotImplementedError("no such operator")

    model: Any = painter._loaded and painter._loaded.model
    monkeypatch.setattr(model.vae, "encode", missing)
    with pytest.raises(NotImplementedError):
        paint(settings)


def test_numbers_that_overflow_are_told_instead_of_painted(
    report: "Recorder", photo: "Photo", settings: TranslationSettings
) -> None:
    painter = DiffusionPainter()
    request = PaintRequest(5, photo(64, 64), settings)
    painter.paint(request, report)
    assert painter._loaded is not None
    painter._loaded.model.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    with pytest.raises(ModelUnavailableError, match="Frame 5 came out as no picture"):
        painter.paint(request, report)


def test_a_single_controlnet_file_is_loaded_with_the_configuration_beside_it(
    paint: Paint, settings: TranslationSettings, tiny_controlnet: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_controlnet, tmp_path / "edges")
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "edges.safetensors")
    single = replace(settings, controlnet=str(tmp_path / "edges.safetensors"))
    assert np.array_equal(paint(single), paint(settings))


def test_a_single_file_paints_as_its_folder_does(
    paint: Paint,
    settings: TranslationSettings,
    tiny_model: Path,
    tiny_single_file: Path,
    tmp_path: Path,
) -> None:
    """Its configuration, without any weights, lies in a folder of the same name beside it."""
    weights = shutil.copy(tiny_single_file, tmp_path / "tiny.safetensors")
    shutil.copytree(tiny_model, tmp_path / "tiny", ignore=shutil.ignore_patterns("*.safetensors"))
    assert np.array_equal(paint(replace(settings, model=str(weights))), paint(settings))
