"""What painting a key frame costs without any of our work: a loop over diffusers' networks."""

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, DDIMScheduler, StableDiffusionControlNetPipeline
from torch import Tensor

from engine.settings import TranslationSettings
from engine.types import FrameSize


class PlainLoop:
    """Two passes of all steps with encodes and decodes as section 4.1.3 has them, as published:
    eager, with guidance, without any reference and thus without their cost.
    """

    def __init__(
        self, model: Path, controlnet: Path, settings: TranslationSettings, device: str
    ) -> None:
        dtype = torch.float16 if device == "cuda" else torch.float32
        networks: Any = ControlNetModel
        pipelines: Any = StableDiffusionControlNetPipeline
        self._pipeline = pipelines.from_pretrained(
            model,
            controlnet=networks.from_pretrained(controlnet, dtype=dtype),
            safety_checker=None,
            dtype=dtype,
        ).to(device)
        schedulers: Any = DDIMScheduler
        self._scheduler = schedulers.from_config(self._pipeline.scheduler.config)
        self._settings = settings
        self._device, self._dtype = device, dtype

    @torch.inference_mode()
    def paint(self, size: FrameSize, steps: int) -> Tensor:
        """[1, 3, H, W] of one key frame."""
        self._scheduler.set_timesteps(steps, device=self._device)
        pixels = torch.rand(1, 3, size.height, size.width, device=self._device, dtype=self._dtype)
        text = torch.cat(
            self._pipeline.encode_prompt(
                self._settings.prompt, self._device, 1, do_classifier_free_guidance=True
            )[::-1]
        )
        start = self._encode(pixels)
        rough = self._decode(self._pass(start, text, pixels))
        once = self._encode(rough)
        again = self._encode(self._decode(once))
        self._decode(2 * once - again)
        return self._decode(self._pass(start, text, pixels)).cpu()

    def _pass(self, x: Tensor, text: Tensor, edges: Tensor) -> Tensor:
        for t in self._scheduler.timesteps:
            both = torch.cat([x, x])
            down, middle = self._pipeline.controlnet(
                both,
                t,
                encoder_hidden_states=text,
                controlnet_cond=edges.expand(2, -1, -1, -1),
                conditioning_scale=self._settings.controlnet_weight,
                return_dict=False,
            )
            noise = self._pipeline.unet(
                both,
                t,
                encoder_hidden_states=text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
                return_dict=False,
            )[0]
            without, with_prompt = noise.chunk(2)
            noise = without + self._settings.guidance_scale * (with_prompt - without)
            x = self._scheduler.step(noise, t, x, return_dict=False)[0]
        return x

    def _encode(self, pixels: Tensor) -> Tensor:
        encoded = self._pipeline.vae.encode(pixels).latent_dist
        latent: Tensor = encoded.mode() * self._pipeline.vae.config.scaling_factor
        return latent

    def _decode(self, latent: Tensor) -> Tensor:
        scaled = latent / self._pipeline.vae.config.scaling_factor
        pixels: Tensor = self._pipeline.vae.decode(scaled, return_dict=False)[0]
        return pixels
