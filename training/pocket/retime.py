"""Takes a finished model over to a schedule with another course of noise, without training.

python -m training.pocket.retime MODEL TARGET --slowness 3

A network that predicts v sees of a time nothing but the ratio of signal to noise: in its picture,
and through its embedding of times. So the embedding learns which of the old times has the ratio of
the new one, and all else stays.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import silu

from training.pocket.models import (
    SLOWNESS,
    new_controlnet,
    new_scheduler,
    new_unet,
    save_half,
)

_RIDGE = 1e-6
"""Of the largest square: half precision holds the weights that it leaves."""


def retime_model(model: Path, target: Path, slowness: float) -> None:
    """Writes `model`, taken over to the schedule of that slowness, to the folder `target`."""
    shutil.copytree(model, target, dirs_exist_ok=True)
    old, new = DDIMScheduler.from_pretrained(model / "scheduler"), new_scheduler(slowness)
    new.save_pretrained(target / "scheduler")
    for part, network in (("unet", new_unet()), ("controlnet", new_controlnet())):
        network.load_state_dict(type(network).from_pretrained(model / part).state_dict())
        retime(network, old, new)
        save_half(network, target / part)


@torch.no_grad()
def retime(network: Any, old: Any, new: Any) -> None:
    """Makes `network` do at the times of the scheduler `new` what it did at those of `old` with the
    same signal-to-noise ratio.

    The last layer of its embedding of times is fitted to that by least squares.
    """
    embedding = network.time_embedding
    times = torch.arange(len(new.alphas_cumprod), dtype=torch.float64)
    wanted = embedding(_features(network, _same_ratio(old, new)))
    hidden = silu(embedding.linear_1(_features(network, times))).double()
    known = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)
    square = known.T @ known
    ridge = _RIDGE * square.diagonal().max() * torch.eye(len(square), dtype=square.dtype)
    fitted = torch.linalg.solve(square + ridge, known.T @ wanted.double())
    embedding.linear_2.weight.copy_(fitted[:-1].T)
    embedding.linear_2.bias.copy_(fitted[-1])


def _features(network: Any, times: Tensor) -> Tensor:
    features: Tensor = network.time_proj(times).to(network.dtype)
    return features


def _same_ratio(old: Any, new: Any) -> Tensor:
    """[T] times of `old`, with fractions, that have the ratios of those of `new`. What `new` has
    less noise than any of them is taken for the first.
    """
    old_ratios = torch.logit(old.alphas_cumprod.double())  # falls with time
    wanted = torch.logit(new.alphas_cumprod.double())
    later = torch.searchsorted(-old_ratios, -wanted).clamp(1, len(old_ratios) - 1)
    before, after = old_ratios[later - 1], old_ratios[later]
    return (later - 1 + (before - wanted) / (before - after)).clamp(min=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--slowness", type=float, default=SLOWNESS)
    options = parser.parse_args()
    retime_model(options.model, options.target, options.slowness)
