"""The networks of Stable Diffusion 1.5 with a ControlNet, as diffusers has them.

The sampling loop is ours (`sampler.py`), so that constraints between key frames can act inside it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.settings import MOVIE, TranslationSettings
from engine.translation.controls.registry import ControlImages
from engine.translation.execution import Execution
from engine.translation.feature_memory import FeatureMemory
from engine.translation.method.schedule import Schedule
from engine.translation.models.add_ons import inversions_of
from engine.translation.painter import View
from engine.translation.stable_diffusion.attention import Exchange, use_cross_frame_attention
from engine.translation.stable_diffusion.freeu import use_freeu
from engine.translation.stable_diffusion.lcm import consistent
from engine.translation.stable_diffusion.text_encoding import encode_prompts, load_inversions
from engine.types import FloatArray

_BYTES_A_PIXEL = 10_000
"""Of card memory, besides the weights, for Stable Diffusion 1.5."""


@dataclass(frozen=True)
class ControlNet:
    """A ControlNet in two parts."""

    network: Any
    """Without its first layers."""
    first_layers: Any
    """They look at the control image alone."""


@dataclass(frozen=True)
class Control:
    """What a ControlNet does to one frame."""

    number: int
    """Which ControlNet of the model."""
    features: Tensor
    """Of the control image of the frame, [1, C, h, w]."""
    weight: float
    times: frozenset[int]
    """The t of the steps in which it acts."""


@dataclass(frozen=True)
class Conditions:
    """What a noise prediction depends on besides x_t, made once for all steps of a frame."""

    text: Tensor
    """The prompt, [1, tokens, C]; with guidance, the negative prompt before it, [2, tokens, C]."""
    guidance_scale: float
    controls: tuple[Control, ...]
    is_consistent: bool
    """Whether the network is a consistency model."""


@dataclass(eq=False)
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
    execution: Execution

    def __post_init__(self) -> None:
        self.memory = FeatureMemory(self.execution)
        self.execution.when_short(self.memory.leave_the_card)
        self._exchange = Exchange()
        self._arrangement: object = None
        self._recipe = ""
        self._text: Tensor | None = None

    def begin(self, recipe: str) -> None:
        """Before a painting: what was worked out under another recipe is forgotten."""
        if recipe != self._recipe:
            self._recipe, self._text = recipe, None
            self.memory.forget()

    def arrange(self, settings: TranslationSettings) -> None:
        """Gives the networks the form that the settings ask for."""
        arrangement = settings.cross_frame_attention, settings.freeu
        if arrangement != self._arrangement:
            use_cross_frame_attention(self.unet, settings.cross_frame_attention, self._exchange)
            use_freeu(self.unet, on=settings.freeu)
            self.execution.forget()
            self._arrangement = arrangement

    def predict(
        self, x: Tensor, t: int, conditions: Conditions, seen: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        """The x0 and the noise of which x_t [1, C, h, w] is made (Eq. 4), with guidance.

        The frame looks at the features of others that are given, otherwise at itself.
        """
        (output,) = self._output(x, (t,), conditions, seen)
        return self._in_two(x, t, output, conditions)

    def see(self, x: Tensor, times: Sequence[int], conditions: Conditions) -> tuple[Tensor, Tensor]:
        """The x0 and the features of a frame at several times, of which `x` are its x_t."""
        output, features = self._output(x, times, conditions, shows=True)
        rows = zip(x.split(1), times, output.split(1), strict=True)
        return torch.cat([self._in_two(*row, conditions)[0] for row in rows]), features

    def _in_two(
        self, x: Tensor, t: int, output: Tensor, conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """x0 and noise, of which the network predicts one or a mixture."""
        x0, noise = self._unmixed(x, self.signal[t], output)
        return consistent(x, x0, t) if conditions.is_consistent else x0, noise

    def _unmixed(self, x: Tensor, abar: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        if self.prediction == "v_prediction":
            return (
                abar.sqrt() * x - (1 - abar).sqrt() * output,
                abar.sqrt() * output + (1 - abar).sqrt() * x,
            )
        return (x - (1 - abar).sqrt() * output) / abar.sqrt(), output

    def _output(
        self,
        x: Tensor,
        times: Sequence[int],
        conditions: Conditions,
        seen: Sequence[Tensor] = (),
        *,
        shows: bool = False,
    ) -> tuple[Tensor, ...]:
        """What the network predicts, with guidance, and the features where it shows them."""
        controls = [each for each in conditions.controls if each.times & set(times)]
        weights = [[each.weight * (t in each.times) for t in times] for each in controls]
        numbers = tuple(control.number for control in controls)
        output, *features = self.execution.run(
            (numbers, shows),
            partial(self._call, numbers, shows),
            x.to(self.dtype),
            torch.tensor(times),
            conditions.text,
            torch.tensor(weights, dtype=self.dtype),
            *(control.features for control in controls),
            *seen,
        )
        output = output.to(x)
        if len(conditions.text) == 2:
            without, with_prompt = output.chunk(2)
            output = without + conditions.guidance_scale * (with_prompt - without)
        return output, *features

    def _call(
        self,
        numbers: Sequence[int],
        shows: bool,
        x: Tensor,
        times: Tensor,
        text: Tensor,
        weights: Tensor,
        *control_features_and_seen: Tensor,
    ) -> tuple[Tensor, ...]:
        """One call of the U-Net, with what the ControlNets of these numbers make of the features of
        their control images.

        The batch holds all frames [frames, C, h, w] without the prompt, then all with it; without
        guidance, the latter alone.
        """
        frames, halves = len(x), len(text)
        controls = control_features_and_seen[: len(numbers)]
        self._exchange.begin(control_features_and_seen[len(numbers) :], shows=shows)
        batch = (
            x.repeat(halves, 1, 1, 1),
            times.to(x.device).repeat(halves),
            text.repeat_interleave(frames, 0),
        )
        down, middle = None, None
        if numbers:
            with self.execution.beside():
                down, middle = self._added(numbers, weights.to(x), controls, *batch)
        output: Tensor = self.unet(
            *batch,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return (output, self._exchange.features(frames)) if shows else (output,)

    def _added(
        self,
        numbers: Sequence[int],
        weights: Tensor,
        controls: Sequence[Tensor],
        x: Tensor,
        times: Tensor,
        text: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        """What the ControlNets of these numbers add in the decoder of the U-Net, together.

        `weights` [numbers, frames]; `controls` are the features of their control images.
        """
        outputs = []
        for number, weight, features in zip(numbers, weights, controls, strict=True):
            halves = len(x) // len(weight)
            down, middle = self.controlnets[number].network(
                x,
                times,
                text,
                features.expand(len(x), -1, -1, -1),
                conditioning_scale=weight.repeat(halves)[:, None, None, None],
                return_dict=False,
            )
            outputs.append([*down, middle])
        *down, middle = (reduce(torch.add, each) for each in zip(*outputs, strict=True))
        return down, middle

    def conditions(
        self, text: Tensor, settings: TranslationSettings, view: View, schedule: Schedule
    ) -> Conditions:
        """For one frame."""
        controls = tuple(
            Control(
                number,
                self._control_features(number, settings, view),
                settings.controls[number].weight,
                frozenset(schedule.times[step] for step in steps),
            )
            for number, steps in enumerate(schedule.controls)
        )
        return Conditions(text, settings.guidance_scale, controls, settings.sampler == "lcm")

    def _control_features(self, number: int, settings: TranslationSettings, view: View) -> Tensor:
        """What the first layers of a ControlNet make of its control image."""
        layers = self.controlnets[number].first_layers
        image = self._control_image(settings.controls[number].image, settings, view)
        (features,) = self.execution.run(
            ("control image", number), lambda image: (layers(image).to(self.dtype),), image
        )
        return features

    def _control_image(self, kind: str, settings: TranslationSettings, view: View) -> Tensor:
        """[1, 3, H, W] in 0..1."""
        if kind == MOVIE and view.control_picture is not None:
            image = view.control_picture
        else:
            image = self.control_images.make(kind, settings, pad(view.source, self._multiple))
        return self.planes(image.clip(0, 1)).to(self.dtype)

    def encode_prompt(self, settings: TranslationSettings) -> Tensor:
        """The text of `Conditions`."""
        if self._text is None:
            self._text = self._encoded_prompt(settings)
        return self._text

    def _encoded_prompt(self, settings: TranslationSettings) -> Tensor:
        prompts = [settings.negative_prompt, settings.prompt]
        width = int(self.text_encoder.config.hidden_size)
        inversions = load_inversions(inversions_of(settings), width)
        return encode_prompts(
            self.tokenizer,
            self.text_encoder,
            prompts if settings.guidance_scale != 1 else prompts[1:],
            inversions,
        )

    def size_that_fits(self, width: int, height: int) -> str:
        """About the largest size of the shape of this one for which a card has memory; empty where
        it cannot be told.
        """
        if self.device.type == "cpu":
            return ""
        free_bytes = max(self.execution.free_bytes(), 0)
        share = min(free_bytes / (_BYTES_A_PIXEL * width * height), 0.8) ** 0.5
        sides = [int(share * side) // self._multiple * self._multiple for side in (width, height)]
        return f"{sides[0]}x{sides[1]}" if min(sides) > 0 else ""

    def free_memory(self) -> None:
        """Lets go of all but the networks."""
        self._text = None
        self.memory.forget()
        self.execution.forget()

    def encode(self, pixels: Tensor) -> Tensor:
        """The most likely latent of a picture [1, 3, H, W], -1..1: [1, C, h, w], float32."""
        (latent,) = self.execution.run("encode", self._encode, pixels.to(self.dtype))
        scaled: Tensor = latent.float() * self.vae.config.scaling_factor
        return scaled

    def _encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (self.vae.encode(pixels).latent_dist.mode(),)

    def decode(self, latent: Tensor) -> Tensor:
        """The picture [1, 3, H, W], -1..1, of a latent, float32."""
        scaled = latent / self.vae.config.scaling_factor
        (pixels,) = self.execution.run("decode", self._decode, scaled.to(self.dtype))
        return pixels.float().clamp(-1, 1)

    def _decode(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (self.vae.decode(latent, return_dict=False)[0],)

    def pixels(self, picture: FloatArray) -> Tensor:
        """A picture [H, W, 3], 0..1, as the networks take it: [1, 3, H, W], -1..1, padded."""
        return self.planes(picture.clip(0, 1)) * 2 - 1

    def planes(self, picture: FloatArray) -> Tensor:
        """[H, W, C] as [1, C, H, W], padded."""
        padded = np.require(pad(picture, self._multiple), requirements=["C", "W"])
        return self.upload(torch.from_numpy(padded)).permute(2, 0, 1)[None].contiguous()

    def upload(self, tensor: Tensor) -> Tensor:
        """On the device, without waiting for what that is doing."""
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def picture(self, pixels: Tensor, height: int, width: int) -> FloatArray:
        """What `pixels` made of a picture [height, width, 3]."""
        inside = pixels[0, :, :height, :width].permute(1, 2, 0)
        return np.asarray(((inside + 1) / 2).contiguous().cpu().numpy())

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
    def times_at_once(self) -> int:
        """How many times of a reference one call sees: on a card, enough to keep it busy."""
        return 4 if self.device.type == "cuda" else 1

    @cached_property
    def device(self) -> torch.device:
        device: torch.device = self.unet.device  # diffusers looks through all weights for it
        return device

    @cached_property
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
    if height % multiple == width % multiple == 0:
        return picture
    return np.pad(picture, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
