"""Paints pictures with a model folder: SDEdit and DDIM, steered by edges and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionControlNetPipeline
from torch import Tensor

from training.pocket.pairs import find_edges
from training.pocket.train_diffusion import tokens_of


@dataclass(frozen=True)
class Sampling:
    """The product's defaults."""

    steps: int = 20
    strength: float = 0.6
    guidance_scale: float = 1.0
    """1 asks the networks once a step, without the empty prompt."""
    control_weight: float = 0.7
    seed: int = 0


def load(folder: Path, device: torch.device) -> Any:
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, dtype=torch.float32)
    return pipeline.to(device)


@torch.inference_mode()
def paint(
    pipeline: Any,
    pictures: Tensor,
    prompts: Sequence[str],
    sampling: Sampling,
) -> Tensor:
    """`pictures` uint8 [B, 3, H, W], sides multiples of 32; returns 0..1 [B, 3, H, W]."""
    vae = pipeline.vae
    source = vae.encode(pictures.float() / 127.5 - 1).latent_dist.mode()
    signal = pipeline.scheduler.alphas_cumprod.to(source)
    generator = torch.Generator().manual_seed(sampling.seed)
    noise = torch.randn(source.shape[1:], generator=generator).to(source).expand_as(source)
    edges = find_edges(pictures).to(source)[:, None].expand(-1, 3, -1, -1)
    asked, nothing = _words(pipeline, prompts), _words(pipeline, [""] * len(prompts))
    times = _times(sampling, len(signal))
    x = signal[times[0]].sqrt() * source + (1 - signal[times[0]]).sqrt() * noise
    for t, following in zip(times, [*times[1:], None], strict=True):
        velocity = _velocity(pipeline, x, t, asked, edges, sampling.control_weight)
        if sampling.guidance_scale != 1:
            without = _velocity(pipeline, x, t, nothing, edges, sampling.control_weight)
            velocity = without + sampling.guidance_scale * (velocity - without)
        x0 = signal[t].sqrt() * x - (1 - signal[t]).sqrt() * velocity
        noise = signal[t].sqrt() * velocity + (1 - signal[t]).sqrt() * x
        if following is None:
            x = x0
        else:
            x = signal[following].sqrt() * x0 + (1 - signal[following]).sqrt() * noise
    decoded: Tensor = vae.decode(x).sample
    return (decoded / 2 + 0.5).clamp(0, 1)


def _words(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    tokens = tokens_of(pipeline.tokenizer, prompts).to(pipeline.unet.device)
    encoded: Tensor = pipeline.text_encoder(input_ids=tokens)[0]
    return encoded


def _velocity(
    pipeline: Any,
    x: Tensor,
    t: int,
    words: Tensor,
    edges: Tensor,
    control_weight: float,
) -> Tensor:
    down, middle = pipeline.controlnet(
        x,
        t,
        words,
        controlnet_cond=edges,
        conditioning_scale=control_weight,
        return_dict=False,
    )
    predicted: Tensor = pipeline.unet(
        x,
        t,
        words,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    return predicted


def _times(sampling: Sampling, trained: int) -> list[int]:
    """The last `strength` of `steps` even times, falling."""
    spacing = trained // sampling.steps
    times = [step * spacing + 1 for step in range(sampling.steps)]
    return times[: max(1, round(sampling.strength * sampling.steps))][::-1]
