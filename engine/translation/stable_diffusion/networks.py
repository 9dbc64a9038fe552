"""The networks of Stable Diffusion 1.5 with ControlNets, as diffusers has them, as a denoiser.

The sampling loop is ours (`method/sampler.py`), so that constraints between key frames can act
inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from typing import Any

import torch
from torch import Tensor

from engine.settings import MOVIE, TranslationSettings
from engine.translation.canvas import Canvas, pad
from engine.translation.controls.registry import ControlImages
from engine.translation.execution import Execution
from engine.translation.feature_memory import FeatureMemory
from engine.translation.method.level import Level
from engine.translation.method.schedule import Schedule, schedule_of
from engine.translation.models.add_ons import identity_of_loras, inversions_of, loras_of
from engine.translation.models.files import LORA, find_weights
from engine.translation.painter import Reference, View
from engine.translation.stable_diffusion.attention import Exchange, use_cross_frame_attention
from engine.translation.stable_diffusion.freeu import use_freeu
from engine.translation.stable_diffusion.lcm import consistent
from engine.translation.stable_diffusion.lora import LoraMixer
from engine.translation.stable_diffusion.text_encoding import encode_prompts, load_inversions
from engine.translation.stable_diffusion.times import consistency_times, sampled_times

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
    times: frozenset[float]
    """Of the levels at which it acts."""


@dataclass(frozen=True)
class Conditions:
    """What a noise prediction depends on besides x_t, made once for all steps of a frame."""

    text: Tensor
    """The prompt, [1, tokens, C]; with guidance, the negative prompt before it, [2, tokens, C]."""
    guidance_scale: float
    controls: tuple[Control, ...]
    is_consistent: bool
    """The network is a consistency model."""


@dataclass(eq=False)
class StableDiffusion:
    """The networks of a model and the schedule they were trained with: a `Denoiser`."""

    identity: str
    """Identifies the model that made the latents."""
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
        self._mixer = LoraMixer({"unet": self.unet, "text_encoder": self.text_encoder})
        self._recipe = ""
        self._text: Tensor | None = None

    def begin(self, recipe: str, settings: TranslationSettings) -> None:
        loras = {find_weights(LORA, lora.name): lora.weight for lora in loras_of(settings)}
        self._mixer.use(loras, identity_of_loras(settings))
        self._arrange(settings)
        if recipe != self._recipe:
            self._recipe, self._text = recipe, None
            self.memory.forget()

    def levels(self, settings: TranslationSettings) -> Sequence[Level]:
        times_of = consistency_times if settings.sampler == "lcm" else sampled_times
        run = schedule_of(settings).count
        signals = [(t, self.signal[t]) for t in times_of(settings.steps, run, len(self.signal))]
        return [Level(t, abar.sqrt().item(), (1 - abar).sqrt().item()) for t, abar in signals]

    def _arrange(self, settings: TranslationSettings) -> None:
        """Gives the networks the form that the settings ask for."""
        arrangement = settings.cross_frame_attention, settings.freeu
        if arrangement != self._arrangement:
            use_cross_frame_attention(self.unet, settings.cross_frame_attention, self._exchange)
            use_freeu(self.unet, on=settings.freeu)
            self.execution.forget()
            self._arrangement = arrangement

    def predict(
        self, x: Tensor, level: Level, conditions: Conditions, seen: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        """With guidance."""
        (output,) = self._output(x, (level.time,), conditions, seen)
        return self._in_two(x, level, output, conditions)

    def see(
        self, x: Tensor, levels: Sequence[Level], conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        times = [level.time for level in levels]
        output, features = self._output(x, times, conditions, shows=True)
        rows = zip(x.split(1), levels, output.split(1), strict=True)
        return torch.cat([self._in_two(*row, conditions)[0] for row in rows]), features

    def _in_two(
        self, x: Tensor, level: Level, output: Tensor, conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """x0 and noise, of which the network predicts one or a mixture."""
        x0, noise = self._unmixed(x, level, output)
        return consistent(x, x0, level.time) if conditions.is_consistent else x0, noise

    def _unmixed(self, x: Tensor, level: Level, output: Tensor) -> tuple[Tensor, Tensor]:
        if self.prediction == "v_prediction":
            return (
                level.alpha * x - level.sigma * output,
                level.alpha * output + level.sigma * x,
            )
        return (x - level.sigma * output) / level.alpha, output

    def _output(
        self,
        x: Tensor,
        times: Sequence[float],
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
        self,
        settings: TranslationSettings,
        view: View,
        schedule: Schedule,
        references: Sequence[Reference] = (),  # noqa: ARG002 - it sees them by keys and values
    ) -> Conditions:
        levels = self.levels(settings)
        controls = tuple(
            Control(
                number,
                self._control_features(number, settings, view),
                settings.controls[number].weight,
                frozenset(levels[step].time for step in steps),
            )
            for number, steps in enumerate(schedule.controls)
        )
        text = self._encoded_text(settings)
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
            image = self.control_images.make(kind, settings, pad(view.source, self.multiple))
        return Canvas(self.multiple, self.device).planes(image.clip(0, 1)).to(self.dtype)

    def _encoded_text(self, settings: TranslationSettings) -> Tensor:
        """The text of `Conditions`, which is the same under one recipe."""
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
        if self.device.type == "cpu":
            return ""
        free_bytes = max(self.execution.free_bytes(), 0)
        share = min(free_bytes / (_BYTES_A_PIXEL * width * height), 0.8) ** 0.5
        sides = [int(share * side) // self.multiple * self.multiple for side in (width, height)]
        return f"{sides[0]}x{sides[1]}" if min(sides) > 0 else ""

    def free_memory(self) -> None:
        self._text = None
        self.memory.forget()
        self.execution.forget()

    def encode(self, pixels: Tensor) -> Tensor:
        (latent,) = self.execution.run("encode", self._encode, pixels.to(self.dtype))
        scaled: Tensor = latent.float() * self.vae.config.scaling_factor
        return scaled

    def _encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (self.vae.encode(pixels).latent_dist.mode(),)

    def decode(self, latent: Tensor) -> Tensor:
        scaled = latent / self.vae.config.scaling_factor
        (pixels,) = self.execution.run("decode", self._decode, scaled.to(self.dtype))
        return pixels.float().clamp(-1, 1)

    def _decode(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (self.vae.decode(latent, return_dict=False)[0],)

    @property
    def channels(self) -> int:
        return int(self.unet.config.in_channels)

    @property
    def cell(self) -> int:
        """8 for Stable Diffusion 1.5."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def multiple(self) -> int:
        """64 for Stable Diffusion 1.5."""
        return int(self.cell * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def levels_at_once(self) -> int:
        """On a card, enough to keep it busy."""
        return 4 if self.device.type == "cuda" else 1

    @cached_property
    def device(self) -> torch.device:
        device: torch.device = self.unet.device  # diffusers looks through all weights for it
        return device

    @cached_property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.unet.dtype
        return dtype
