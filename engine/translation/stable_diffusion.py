"""Stable Diffusion 1.5 with a ControlNet, and the sampler of section 4.1.

diffusers gives the networks; the sampling loop is ours, so that constraints between key frames can
act inside it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor
from transformers import logging as transformers_logging

from engine.errors import ModelUnavailableError, OutOfMemoryError
from engine.report import Report, Stage
from engine.settings import TranslationSettings
from engine.translation.model_files import ModelFiles
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

_CANNY_THRESHOLDS = (100, 200)


@dataclass(frozen=True)
class StableDiffusion:
    """The networks of a model and the schedule they were trained with."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    controlnet: Any | None
    signal: Tensor
    """abar_t for every t of the training, [1000], float64."""
    prediction: str
    """What the U-Net predicts: "epsilon" or "v_prediction"."""

    @torch.inference_mode()
    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        """Paints one key frame by DDIM (Eqs 3 and 4) from a start that keeps the source (SDEdit).

        Only the steps that the strength asks for are run; without any, the source comes back.
        """
        settings = request.settings
        times = sampled_times(settings.steps, settings.strength, len(self.signal))
        if not times:
            return request.source.copy()
        with _memory_errors(request):
            source = pad(request.source, self._multiple)
            prompt = self._encode_prompt(settings, report)
            edges = self._edges(source) if self.controlnet is not None else None
            x = self._noised(self._encode(source), times[0], settings.seed)
            for step, (t, following) in enumerate(zip(times, [*times[1:], None], strict=True)):
                report.check_cancelled()
                report.progress(Stage.PAINTING, request.frame, step, len(times))
                x0, noise = self._predict(x, t, prompt, edges, settings)
                x = self._toward(x0, noise, following)
            report.check_cancelled()
            painted = self._decode(x)
        height, width = request.source.shape[:2]
        return np.ascontiguousarray(painted[:height, :width])

    def _noised(self, x0: Tensor, t: int, seed: int) -> Tensor:
        """x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) z, Eq. 2, where sampling starts."""
        z = shared_noise(seed, "start", tuple(x0.shape)).to(x0)
        return self.signal[t].sqrt() * x0 + (1 - self.signal[t]).sqrt() * z

    def _predict(
        self, x: Tensor, t: int, prompt: Tensor, edges: Tensor | None, settings: TranslationSettings
    ) -> tuple[Tensor, Tensor]:
        """The x0 and the noise that x_t is made of (Eq. 4), with classifier-free guidance."""
        output = self._network(torch.cat([x, x]), t, prompt, edges, settings.controlnet_weight)
        without, with_prompt = output.to(x).chunk(2)
        output = without + settings.guidance_scale * (with_prompt - without)
        abar = self.signal[t]
        if self.prediction == "v_prediction":
            return (
                abar.sqrt() * x - (1 - abar).sqrt() * output,
                abar.sqrt() * output + (1 - abar).sqrt() * x,
            )
        return (x - (1 - abar).sqrt() * output) / abar.sqrt(), output

    def _toward(self, x0: Tensor, noise: Tensor, following: int | None) -> Tensor:
        """The next x_t, Eq. 3 without added noise; x0 itself after the last step."""
        if following is None:
            return x0
        abar = self.signal[following]
        return abar.sqrt() * x0 + (1 - abar).sqrt() * noise

    def _network(
        self, x: Tensor, t: int, prompt: Tensor, edges: Tensor | None, control_weight: float
    ) -> Tensor:
        x = x.to(self._dtype)
        down, middle = None, None
        if self.controlnet is not None:
            down, middle = self.controlnet(
                x,
                t,
                encoder_hidden_states=prompt,
                controlnet_cond=edges,
                conditioning_scale=control_weight,
                return_dict=False,
            )
        output: Tensor = self.unet(
            x,
            t,
            encoder_hidden_states=prompt,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return output

    def _encode_prompt(self, settings: TranslationSettings, report: Report) -> Tensor:
        """The negative prompt and the prompt, [2, 77, 768]."""
        longest = self.tokenizer.model_max_length
        texts = [settings.negative_prompt, settings.prompt]
        if max(len(ids) for ids in self.tokenizer(texts).input_ids) > longest:
            report.notice(f"The prompt is longer than {longest} tokens: its end has no effect.")
        tokens = self.tokenizer(
            texts, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
        )
        encoded: Tensor = self.text_encoder(tokens.input_ids.to(self._device))[0]
        return encoded

    def _edges(self, source: FloatArray) -> Tensor:
        """Canny edges of the source for both halves of the guidance, [2, 3, H, W] in 0..1."""
        gray = cv2.cvtColor(np.rint(source.clip(0, 1) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        edges = torch.from_numpy(cv2.Canny(gray, *_CANNY_THRESHOLDS) / 255.0)
        return edges.expand(2, 3, -1, -1).to(self._device, self._dtype)

    def _encode(self, picture: FloatArray) -> Tensor:
        """The most likely latent of a picture, [1, 4, H/8, W/8], float32."""
        pixels = torch.from_numpy(picture.clip(0, 1).transpose(2, 0, 1)[None] * 2 - 1)
        encoded = self.vae.encode(pixels.to(self._device, self._dtype)).latent_dist
        latent: Tensor = encoded.mode().float() * self.vae.config.scaling_factor
        return latent

    def _decode(self, latent: Tensor) -> FloatArray:
        """A latent as a picture, [H, W, 3] in 0..1."""
        latent = (latent / self.vae.config.scaling_factor).to(self._dtype)
        pixels = self.vae.decode(latent, return_dict=False)[0][0].float().cpu().numpy()
        return np.asarray((pixels.transpose(1, 2, 0) + 1) / 2).clip(0, 1)

    @property
    def _multiple(self) -> int:
        """Both sides of a picture must be multiples of this: 64 for Stable Diffusion 1.5."""
        halvings = len(self.vae.config.block_out_channels) + len(
            self.unet.config.block_out_channels
        )
        return int(2 ** (halvings - 2))

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.unet.device
        return device

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.unet.dtype
        return dtype


def sampled_times(steps: int, strength: float, trained: int) -> list[int]:
    """The t of the steps that are run, falling: the last `strength` of `steps` even ones."""
    spacing = trained // steps
    times = [min(step * spacing + 1, trained - 1) for step in range(steps)]
    return times[: round(strength * steps)][::-1]


def shared_noise(seed: int, purpose: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise that depends on its arguments only, so that every key frame of a seed
    starts from the same noise and any of them can be painted again alone, bit for bit.
    """
    digest = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=7).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest))
    return torch.randn(shape, generator=generator)


def pad(picture: FloatArray, multiple: int) -> FloatArray:
    """Repeats the last row and column until both sides are multiples: nothing is stretched."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")


def load_stable_diffusion(
    model: ModelFiles, controlnet: ModelFiles | None, card: str | None
) -> StableDiffusion:
    """Loads a model: on the graphics card in half precision, without one in full precision.

    Raises ModelUnavailableError for what is no Stable Diffusion 1.5 model and for a card that torch
    cannot use.
    """
    if card and not torch.cuda.is_available():
        raise ModelUnavailableError(
            f"The graphics card {card} cannot be used by PyTorch: renew its driver, or paint "
            "without it by CUDA_VISIBLE_DEVICES=-1."
        )
    device, dtype = ("cuda", torch.float16) if card else ("cpu", torch.float32)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    with _loading_errors(model):
        pipeline = _load_pipeline(model, dtype)
        _check_architecture(pipeline, model)
    control = None
    if controlnet is not None:
        with _loading_errors(controlnet):
            control = _load_controlnet(controlnet, dtype)
            _check_controlnet(control, pipeline.unet, controlnet)
            control = control.to(device).eval()
    with _loading_errors(model):
        return StableDiffusion(
            unet=pipeline.unet.to(device).eval(),
            vae=pipeline.vae.to(device).eval(),
            text_encoder=pipeline.text_encoder.to(device).eval(),
            tokenizer=pipeline.tokenizer,
            controlnet=control,
            signal=pipeline.scheduler.alphas_cumprod.double(),
            prediction=pipeline.scheduler.config.prediction_type,
        )


def _load_pipeline(model: ModelFiles, dtype: torch.dtype) -> Any:
    options = {"dtype": dtype, "local_files_only": True, "safety_checker": None}
    if model.single_file is None:
        return StableDiffusionPipeline.from_pretrained(
            model.folder, use_safetensors=True, **options
        )
    return StableDiffusionPipeline.from_single_file(
        str(model.single_file), config=str(model.folder), **options
    )


def _load_controlnet(model: ModelFiles, dtype: torch.dtype) -> Any:
    options = {"dtype": dtype, "local_files_only": True}
    if model.single_file is None:
        return ControlNetModel.from_pretrained(model.folder, use_safetensors=True, **options)
    return ControlNetModel.from_single_file(
        str(model.single_file), config=str(model.folder), **options
    )


def _check_architecture(pipeline: Any, model: ModelFiles) -> None:
    unet, text = pipeline.unet.config, pipeline.text_encoder.config
    fits = (
        unet.in_channels == pipeline.vae.config.latent_channels
        and unet.cross_attention_dim == text.hidden_size
        and unet.addition_embed_type is None
    )
    if not fits:
        raise ModelUnavailableError(
            f"{model.single_file or model.folder} is no Stable Diffusion 1.5 model for whole "
            "pictures (an inpainting or SDXL model perhaps): choose another model."
        )


def _check_controlnet(controlnet: Any, unet: Any, model: ModelFiles) -> None:
    names = ("cross_attention_dim", "in_channels", "block_out_channels")
    if any(getattr(controlnet.config, name) != getattr(unet.config, name) for name in names):
        raise ModelUnavailableError(
            f"The ControlNet {model.single_file or model.folder} was made for another model than "
            "the one chosen: choose one for Stable Diffusion 1.5."
        )


@contextmanager
def _loading_errors(model: ModelFiles) -> Iterator[None]:
    """What diffusers raises for files it cannot use, as our errors."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"The graphics card has too little memory to load {model.folder}: close other programs "
            "that use it."
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        SingleFileComponentError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnavailableError(
            f"{model.single_file or model.folder} could not be loaded as a Stable Diffusion 1.5 "
            f"model ({reason}): choose another one, or download it again."
        ) from error


@contextmanager
def _memory_errors(request: PaintRequest) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        height, width = request.source.shape[:2]
        raise OutOfMemoryError(
            f"There is too little memory to paint frame {request.frame} at {width}x{height}: close "
            "other programs, or render a smaller clip."
        ) from error
