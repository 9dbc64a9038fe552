"""The networks of Stable Diffusion 1.5 with a ControlNet, as diffusers has them.

The sampling loop is ours (`sampler.py`), so that constraints between key frames can act inside it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.settings import MOVIE, TranslationSettings
from engine.translation.add_ons import inversions_of
from engine.translation.control_images import ControlImages
from engine.translation.painter import View
from engine.translation.text_encoding import encode_prompts, load_inversions
from engine.types import FloatArray


@dataclass(frozen=True)
class ControlNet:
    """A ControlNet in two parts."""

    network: Any
    """Without its first layers."""
    first_layers: Any
    """They look at the control image alone."""


@dataclass(frozen=True, eq=False)
class Control:
    """What a ControlNet does to one painting."""

    network: Any
    features: Tensor
    """Of the control image of each frame that may be in a batch, [frames, C, h, w]."""
    weight: float
    times: frozenset[int]
    """The t of the steps in which it acts."""


@dataclass(frozen=True)
class Conditions:
    """What a noise prediction depends on besides x_t, made once for all steps."""

    text: Tensor
    """The prompt, [1, tokens, C]; with guidance, the negative prompt before it, [2, tokens, C]."""
    guidance_scale: float
    controls: tuple[Control, ...]


@dataclass(frozen=True)
class StableDiffusion:
    """The networks of a model and the schedule they were trained with."""

    identity: str
    """Of the model whose latents these are."""
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    controlnets: tuple[ControlNet, ...]
    """In the order of the settings that name them."""
    control_images: ControlImages
    signal: Tensor
    """abar_t for every t of the training, [1000], float64."""
    prediction: str
    """What the U-Net predicts: "epsilon" or "v_prediction"."""

    def predict(self, x: Tensor, t: int, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """The x0 and the noise of which x_t [frames, C, h, w] is made (Eq. 4), with guidance.

        One batch holds all frames without the prompt, then all frames with it; without guidance,
        the latter alone.
        """
        frames, halves = len(x), len(conditions.text)
        output = self._network(
            x.repeat(halves, 1, 1, 1).to(self.dtype),
            torch.tensor(t, device=self.device),
            conditions.text.repeat_interleave(frames, 0),
            {
                control: control.features[:frames].repeat(halves, 1, 1, 1)
                for control in conditions.controls
                if t in control.times
            },
        ).to(x)
        if halves == 2:
            without, with_prompt = output.chunk(2)
            output = without + conditions.guidance_scale * (with_prompt - without)
        abar = self.signal[t]
        if self.prediction == "v_prediction":
            return (
                abar.sqrt() * x - (1 - abar).sqrt() * output,
                abar.sqrt() * output + (1 - abar).sqrt() * x,
            )
        return (x - (1 - abar).sqrt() * output) / abar.sqrt(), output

    def _network(
        self, x: Tensor, t: Tensor, text: Tensor, controls: Mapping[Control, Tensor]
    ) -> Tensor:
        """The U-Net, with what the ControlNets make of the features of their control images."""
        added = [
            control.network(
                x,
                t,
                encoder_hidden_states=text,
                controlnet_cond=features,
                conditioning_scale=control.weight,
                return_dict=False,
            )
            for control, features in controls.items()
        ]
        down, middle = None, None
        if added:
            down = [sum(outputs) for outputs in zip(*(down for down, _ in added), strict=True)]
            middle = sum(middle for _, middle in added)
        output: Tensor = self.unet(
            x,
            t,
            encoder_hidden_states=text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return output

    def control(
        self,
        number: int,
        settings: TranslationSettings,
        views: Sequence[View],
        times: Sequence[int],
    ) -> Control:
        """What the ControlNet of that number does in steps at these times, for batches of the first
        so many of `views`.
        """
        controlnet, chosen = self.controlnets[number], settings.controls[number]
        features = [
            controlnet.first_layers(self._control_image(chosen.image, settings, view)).to(
                self.dtype
            )
            for view in views
        ]
        return Control(controlnet.network, torch.cat(features), chosen.weight, frozenset(times))

    def _control_image(self, kind: str, settings: TranslationSettings, view: View) -> Tensor:
        """[1, 3, H, W] in 0..1."""
        if kind == MOVIE and view.control_picture is not None:
            image = view.control_picture
        else:
            image = self.control_images.make(kind, settings, pad(view.source, self._multiple))
        return self.planes(image.clip(0, 1)).to(self.dtype)

    def encode_prompt(self, settings: TranslationSettings) -> Tensor:
        """The text of `Conditions`."""
        prompts = [settings.negative_prompt, settings.prompt]
        width = int(self.text_encoder.config.hidden_size)
        inversions = load_inversions(inversions_of(settings), width)
        return encode_prompts(
            self.tokenizer,
            self.text_encoder,
            prompts if settings.guidance_scale != 1 else prompts[1:],
            inversions,
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """The most likely latent of a picture [1, 3, H, W], -1..1: [1, C, h, w], float32."""
        encoded = self.vae.encode(pixels.to(self.dtype)).latent_dist
        latent: Tensor = encoded.mode().float() * self.vae.config.scaling_factor
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """The picture [1, 3, H, W], -1..1, of a latent, float32."""
        scaled = (latent / self.vae.config.scaling_factor).to(self.dtype)
        pixels: Tensor = self.vae.decode(scaled, return_dict=False)[0]
        return pixels.float().clamp(-1, 1)

    def pixels(self, picture: FloatArray) -> Tensor:
        """A picture [H, W, 3], 0..1, as the networks take it: [1, 3, H, W], -1..1, padded."""
        return self.planes(picture.clip(0, 1)) * 2 - 1

    def planes(self, picture: FloatArray) -> Tensor:
        """[H, W, C] as [1, C, H, W], padded."""
        padded = np.ascontiguousarray(pad(picture, self._multiple).transpose(2, 0, 1)[None])
        return torch.from_numpy(padded).to(self.device)

    def picture(self, pixels: Tensor, height: int, width: int) -> FloatArray:
        """What `pixels` made of a picture [height, width, 3]."""
        padded = (pixels[0].cpu().numpy().transpose(1, 2, 0) + 1) / 2
        return np.ascontiguousarray(padded[:height, :width])

    def signal_after(self, t: int, times: Sequence[int]) -> Tensor:
        """The abar of the time after t; 1 after the last one."""
        following = times.index(t) + 1
        return self.signal[times[following]] if following < len(times) else torch.ones(())

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Of a picture, padded."""
        channels = int(self.unet.config.in_channels)
        height, width = (-(-side // self._multiple) * self._multiple for side in (height, width))
        return 1, channels, height // self.cell, width // self.cell

    @property
    def cell(self) -> int:
        """Pixels to a side of a latent cell: 8 for Stable Diffusion 1.5."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def _multiple(self) -> int:
        """Both sides of a picture must be multiples of this: 64 for Stable Diffusion 1.5."""
        return int(self.cell * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def device(self) -> torch.device:
        device: torch.device = self.unet.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.unet.dtype
        return dtype


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
