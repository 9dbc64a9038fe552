"""Trains the autoencoder on photographs and painted pictures.

python -m training.pocket.train_vae .pocket_data/pictures/train WORK/vae --seconds 400

The work is kept in WORK/vae.state: a call that was ended goes on from there.
"""

import argparse
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from training.pocket.fast import quicken
from training.pocket.models import new_vae, normalise_latents, save_half, take_over, take_over_vae
from training.pocket.pairs import Painter, cut_crops, painted_chunks, plan_pairs, read_pictures
from training.pocket.stepping import Course, Weights

KL_WEIGHT = 1e-4
"""For each number of a latent, whatever their count. It comes in late: before the decoder looks at
a channel, nothing else moves the encoder there, and AdamW makes small gradients as large as any.
"""
GRADIENT_WEIGHT = 0.3
SQUARE_WEIGHT = 4.0


@dataclass(frozen=True)
class Phase:
    """Part of the training at one size of crops."""

    until: float
    """Share of the time."""
    side: int
    batch: int
    kl_weight: float = KL_WEIGHT


PHASES = (
    Phase(0.25, 128, 48, kl_weight=0.0),
    Phase(0.6, 128, 48),
    Phase(0.85, 256, 16),
    Phase(1.0, 512, 5),
)
"""Normalisation looks at the whole picture, so the end is at the size of use."""


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bank = _bank(options.pictures, options.crops, device)
    vae: Any = new_vae()
    if options.init_from:
        begun = AutoencoderKL.from_pretrained(options.init_from).state_dict()
        take_over_vae(vae, begun)
    vae = vae.to(device)
    if device.type == "cuda":
        quicken(vae)
    trained = [vae]
    if options.keep_latents:
        take_over(vae, begun)
        vae.requires_grad_(False)
        trained = [vae.decoder.requires_grad_(True), vae.post_quant_conv.requires_grad_(True)]
    weights = Weights(trained, learning_rate=6e-4 if options.init_from else 1e-3)
    vae.to(torch.bfloat16)
    course = Course(weights, options.target.with_suffix(".state"), options.seconds)
    torch.manual_seed(course.steps)
    for phase in PHASES:
        loss_here = partial(loss_of, vae, kl_weight=phase.kl_weight)
        course.run(phase.until, loss_here, partial(_batch, bank, phase))
    course.stop()
    weights.put_average()
    vae.float()
    if options.keep_latents:
        take_over(vae.encoder, _inside(begun, "encoder"))
        take_over(vae.quant_conv, _inside(begun, "quant_conv"))
    else:
        _normalise(vae, bank)
    save_half(vae, options.target)


def _inside(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def loss_of(vae: Any, pictures: Tensor, kl_weight: float) -> Tensor:
    """Absolute and squared error of the pixels, absolute error of their differences at three
    scales; `pictures` -1..1.
    """
    posterior = vae.encode(pictures.to(vae.dtype)).latent_dist
    decoded = vae.decode(posterior.sample()).sample.float()
    error = decoded - pictures.float()
    loss: Tensor = error.abs().mean() + SQUARE_WEIGHT * error.square().mean()
    loss = loss + kl_weight * (posterior.kl().float() / posterior.mean[0].numel()).mean()
    for _ in range(3):
        across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
        loss = loss + GRADIENT_WEIGHT / 3 * (across + down)
        error = functional.avg_pool2d(error, 2)
    return loss


def _bank(pictures: Path, crops: int, device: torch.device) -> Tensor:
    """Crops, and one painting of each, uint8 [2N, 3, S, S]."""
    rng = random.Random(0)  # noqa: S311
    photographs = cut_crops(read_pictures(pictures, device), crops, rng)
    paintings = torch.empty_like(photographs)
    pairs = plan_pairs(crops, 1, rng)
    for first, painted in painted_chunks(pairs, photographs, Painter(device)):
        paintings[first : first + len(painted)] = (painted * 255).round().to(torch.uint8)
    return torch.cat([photographs, paintings])


def _batch(bank: Tensor, phase: Phase) -> tuple[Tensor]:
    """Random windows of random pictures, -1..1 [B, 3, side, side]."""
    device, side = bank.device, phase.side
    number = torch.randint(len(bank), (phase.batch, 1, 1), device=device)
    corner = torch.randint(bank.shape[-1] - side + 1, (2, phase.batch, 1, 1), device=device)
    offsets = torch.arange(side, device=device)
    rows, columns = corner[0] + offsets.view(1, -1, 1), corner[1] + offsets.view(1, 1, -1)
    windows = bank[number, :, rows, columns].permute(0, 3, 1, 2)
    pictures = windows.to(torch.bfloat16) / 127.5 - 1
    return (pictures.contiguous(memory_format=torch.channels_last),)


@torch.no_grad()
def _normalise(vae: Any, bank: Tensor) -> None:
    sample = bank[torch.randperm(len(bank))[:128].to(bank.device)].float() / 127.5 - 1
    posteriors = [vae.encode(part).latent_dist for part in torch.split(sample, 16)]
    latents = torch.cat([posterior.mode() for posterior in posteriors])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    noise = torch.cat([posterior.std for posterior in posteriors]).mean((0, 2, 3)) / deviation
    print("noise of each channel", [round(value, 3) for value in noise.tolist()])
    normalise_latents(vae, mean, deviation)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--crops", type=int, default=2500)
    parser.add_argument("--init-from", type=Path)
    parser.add_argument(
        "--keep-latents", action="store_true", help="train the decoder of --init-from alone"
    )
    train(parser.parse_args())
