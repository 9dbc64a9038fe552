"""Trains the text encoder, the U-Net and the ControlNet for edges together.

python -m training.pocket.train_diffusion .pocket_data/pictures/train WORK/vae WORK/model \
    --seconds 900 --stop-after 480

The work of one call is kept in WORK/model.state, and the next call goes on from there with new
crops. `--init-from FOLDER` starts from a finished model instead.
"""

import argparse
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.pocket.fast import quicken
from training.pocket.looks import LOOKS, captions, idle_captions
from training.pocket.models import (
    SLOWNESS,
    new_controlnet,
    new_scheduler,
    new_text_encoder,
    new_unet,
    save_half,
    take_over,
)
from training.pocket.pairs import (
    MODIFIER_SETS,
    SIDE,
    Painter,
    cut_crops,
    find_edges,
    painted_chunks,
    plan_pairs,
    read_pictures,
)
from training.pocket.retime import retime
from training.pocket.stepping import Course, Weights
from training.pocket.tokenizer import write_tokenizer

WITHOUT_CAPTION, WITHOUT_EDGES = 0.10, 0.08
FROM_PHOTOGRAPH, EARLIEST_START = 0.6, 400
"""Painting starts from a photograph that is noised to a time from this one on (SDEdit). Before it
noise hides next to nothing, and v, which is in proportion to what the noise hides, would grow.
"""
COARSEST = 4
"""Windows begin at whole cells of the U-Net's coarsest level, as pictures do in use: so the model
knows where in their 32 pixels the patterns of looks are.
"""
CAPTIONS_EACH = 64
PEAK_RATE = 6e-4
LARGEST_WEIGHT = 5.0
"""Of the error of x0, which otherwise has the signal-to-noise ratio for a weight (Hang et al. 2023,
min-SNR): the steps that decide what is painted are those with little signal.
"""
_CELL = 8


@dataclass(frozen=True)
class Phase:
    """Part of the training at one size of latents."""

    until: float
    """Share of the time."""
    side: int
    batch: int


PHASES = (Phase(0.45, 32, 128), Phase(1.0, 64, 40))


@dataclass(frozen=True)
class Networks:
    text_encoder: Any
    unet: Any
    controlnet: Any

    @property
    def all(self) -> list[nn.Module]:
        return [self.text_encoder, self.unet, self.controlnet]

    def save(self, folder: Path) -> None:
        for name in ("text_encoder", "unet", "controlnet"):
            save_half(getattr(self, name), folder / name)


@dataclass(frozen=True)
class Bank:
    """Everything a step draws from, on the device."""

    latents: Tensor
    """Of the paintings, [N, C, 64, 64]."""
    photographs: Tensor
    """[crops, C, 64, 64]."""
    edges: Tensor
    """[crops, 512, 512], 0 or 1."""
    crop: Tensor
    """[N] into edges."""
    kind: Tensor
    """[N] into the captions."""
    captions: Tensor
    """[kinds + 1, CAPTIONS_EACH, 77] tokens; the last row asks for nothing."""


def train(options: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = _tokenizer(options.target / "tokenizer", options.init_from)
    torch.manual_seed(0)
    scheduler = _scheduler(options.target / "scheduler", options.slowness)
    networks = _networks(tokenizer, options.init_from, scheduler, device)
    weights = Weights(networks.all, PEAK_RATE)
    course = Course(weights, options.target.with_suffix(".state"), options.seconds)
    torch.manual_seed(course.steps)
    bank = fill_bank(options, tokenizer, device, seed=course.steps)
    loss_of = PaintingLoss(networks, scheduler.alphas_cumprod.to(device))
    for phase in PHASES:
        course.run(phase.until, loss_of, partial(_batch, bank, phase), options.stop_after)
    course.stop()
    weights.put_average()
    networks.save(options.target)


def fill_bank(
    options: argparse.Namespace, tokenizer: CLIPTokenizer, device: torch.device, seed: int
) -> Bank:
    started = time.monotonic()
    rng = random.Random(seed)  # noqa: S311
    crops = cut_crops(read_pictures(options.pictures, device), options.crops, rng)
    edges = find_edges(crops, rng)
    pairs = plan_pairs(len(crops), options.looks_per_crop, rng)
    vae: Any = AutoencoderKL.from_pretrained(options.vae)
    vae = vae.to(device, torch.bfloat16)
    if device.type == "cuda":
        quicken(vae)
    side = SIDE // _CELL
    shape = (vae.config.latent_channels, side, side)
    latents = torch.empty((len(pairs), *shape), device=device, dtype=torch.float16)
    for first, painted in painted_chunks(pairs, crops, Painter(device)):
        latents[first : first + len(painted)] = _encoded(vae, painted)
    bank = Bank(
        latents,
        torch.cat([_encoded(vae, part.float() / 255) for part in torch.split(crops, 48)]),
        edges,
        torch.tensor([pair.crop for pair in pairs], device=device),
        torch.tensor([_kind(pair.look, pair.modifiers) for pair in pairs], device=device),
        caption_tokens(tokenizer, rng).to(device),
    )
    print(f"bank of {len(pairs)} pictures after {time.monotonic() - started:.0f} s", flush=True)
    return bank


@torch.no_grad()
def _encoded(vae: Any, pictures: Tensor) -> Tensor:
    """Latents of pictures in 0..1."""
    mode: Tensor = vae.encode((pictures * 2 - 1).to(vae.dtype)).latent_dist.mode()
    return mode.half()


def caption_tokens(tokenizer: CLIPTokenizer, rng: random.Random) -> Tensor:
    """[kinds + 1, CAPTIONS_EACH, 77] token numbers."""
    texts: list[str] = []
    for look in LOOKS:
        for modifiers in MODIFIER_SETS:
            texts += captions(look, modifiers, CAPTIONS_EACH, rng)
    texts += idle_captions(CAPTIONS_EACH, rng)
    return tokens_of(tokenizer, texts).view(-1, CAPTIONS_EACH, tokenizer.model_max_length)


def tokens_of(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """[N, 77] token numbers."""
    found: Tensor = tokenizer(
        list(texts), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return found


class PaintingLoss:
    """Weighted squared error of the predicted v (Salimans and Ho 2022); `signal` is abar by time.

    Where painting begins with the photograph F at time s, DDIM goes in a straight line to the
    painting P: its x_t hold P and the noise e + sqrt(abar_s / (1 - abar_s)) (F - P).
    """

    def __init__(self, networks: Networks, signal: Tensor) -> None:
        self.networks = networks
        self.signal = signal
        ratio = signal / (1 - signal)
        self.weight = ratio.clamp(max=LARGEST_WEIGHT) / (ratio + 1)

    def __call__(
        self,
        painting: Tensor,
        photograph: Tensor,
        begun: Tensor,
        edges: Tensor,
        tokens: Tensor,
        steered: Tensor,
    ) -> Tensor:
        """`begun` [B, 1, 1, 1] is 1 where painting begins with the photograph; `steered` [B] is 0
        where the U-Net must do without the ControlNet.
        """
        shape, last = begun.shape, len(self.signal)
        t = torch.randint(last, shape, device=painting.device)
        start = torch.randint(EARLIEST_START, last, shape, device=painting.device)
        left = self.signal[torch.maximum(t, start)]
        noise = torch.randn_like(painting)
        noise = noise + begun * (left / (1 - left)).sqrt() * (photograph - painting)
        keep, blend = self.signal[t].sqrt(), (1 - self.signal[t]).sqrt()
        noisy = keep * painting + blend * noise
        predicted = self._predict(
            noisy.to(self.networks.unet.dtype), t.flatten(), edges, tokens, steered
        )
        error = predicted.float() - (keep * noise - blend * painting)
        loss: Tensor = (self.weight[t] * error.square()).mean()
        return loss

    def _predict(
        self, noisy: Tensor, t: Tensor, edges: Tensor, tokens: Tensor, steered: Tensor
    ) -> Tensor:
        words = self.networks.text_encoder(input_ids=tokens)[0]
        condition = edges[:, None].expand(-1, 3, -1, -1).to(noisy.dtype)
        down, middle = self.networks.controlnet(
            noisy, t, words, controlnet_cond=condition, return_dict=False
        )
        keep = steered.view(-1, 1, 1, 1).to(noisy.dtype)
        predicted: Tensor = self.networks.unet(
            noisy,
            t,
            words,
            down_block_additional_residuals=[residual * keep for residual in down],
            mid_block_additional_residual=middle * keep,
            return_dict=False,
        )[0]
        return predicted


def _batch(bank: Bank, phase: Phase) -> tuple[Tensor, ...]:
    """The inputs of PaintingLoss, for windows of random pictures. Where nothing is asked for, the
    photograph stays what it is.
    """
    device, batch = bank.latents.device, phase.batch
    pick = torch.randint(len(bank.latents), (batch,), device=device)
    corners = (bank.latents.shape[-1] - phase.side) // COARSEST + 1
    corner = COARSEST * torch.randint(corners, (2, batch), device=device)
    painting = _windows(bank.latents, pick, corner, phase.side).permute(0, 3, 1, 2).float()
    photograph = _windows(bank.photographs, bank.crop[pick], corner, phase.side)
    photograph = photograph.permute(0, 3, 1, 2).float()
    edges = _windows(bank.edges[:, None], bank.crop[pick], corner * _CELL, phase.side * _CELL)
    idle = torch.rand(batch, device=device) < WITHOUT_CAPTION
    kind = torch.where(idle, len(bank.captions) - 1, bank.kind[pick])
    tokens = bank.captions[kind, torch.randint(CAPTIONS_EACH, (batch,), device=device)]
    begun = (torch.rand((batch, 1, 1, 1), device=device) < FROM_PHOTOGRAPH).float()
    steered = (torch.rand(batch, device=device) >= WITHOUT_EDGES).float()
    painting = torch.where(idle.view(-1, 1, 1, 1), photograph, painting)
    return painting, photograph, begun, edges[..., 0], tokens, steered


def _windows(bank: Tensor, pick: Tensor, corner: Tensor, side: int) -> Tensor:
    """[B, side, side, C]."""
    offsets = torch.arange(side, device=bank.device)
    rows = corner[0].view(-1, 1, 1) + offsets.view(1, -1, 1)
    columns = corner[1].view(-1, 1, 1) + offsets.view(1, 1, -1)
    return bank[pick.view(-1, 1, 1), :, rows, columns]


def _kind(look: int, modifiers: int) -> int:
    return look * len(MODIFIER_SETS) + modifiers


def _tokenizer(folder: Path, init_from: Path | None) -> CLIPTokenizer:
    """The one that the weights so far were trained with, or a new one."""
    if not folder.exists() and init_from:
        shutil.copytree(init_from / "tokenizer", folder)
    elif not folder.exists():
        write_tokenizer(folder)
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return tokenizer


def _scheduler(folder: Path, slowness: float | None) -> Any:
    """The one that the work so far was done with, or a new one."""
    if not folder.exists():
        new_scheduler(SLOWNESS if slowness is None else slowness).save_pretrained(folder)
    found: Any = DDIMScheduler.from_pretrained(folder)
    if slowness is not None and not torch.equal(
        found.alphas_cumprod, new_scheduler(slowness).alphas_cumprod
    ):
        raise SystemExit(
            f"--slowness {slowness:g} is not that of {folder}, with which this model was "
            "begun: leave it out, or begin another model."
        )
    return found


def _networks(
    tokenizer: CLIPTokenizer, init_from: Path | None, scheduler: Any, device: torch.device
) -> Networks:
    made = Networks(new_text_encoder(tokenizer), new_unet(), new_controlnet())
    if init_from:
        for network, trained in (
            (made.text_encoder, CLIPTextModel.from_pretrained(init_from / "text_encoder")),
            (made.unet, UNet2DConditionModel.from_pretrained(init_from / "unet")),
            (made.controlnet, ControlNetModel.from_pretrained(init_from / "controlnet")),
        ):
            take_over(network, trained.state_dict())
        its_own = DDIMScheduler.from_pretrained(init_from / "scheduler")
        for network in (made.unet, made.controlnet):
            retime(network, its_own, scheduler)
    for network in made.all:
        network.to(device).train()
    if device.type == "cuda":
        quicken(made.unet)
        quicken(made.controlnet)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("vae", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seconds", type=float, default=900, help="of the whole training")
    parser.add_argument("--stop-after", type=float, default=1e9, help="seconds in this call")
    parser.add_argument("--crops", type=int, default=4000)
    parser.add_argument("--looks-per-crop", type=int, default=8)
    parser.add_argument("--init-from", type=Path)
    parser.add_argument(
        "--slowness", type=float, help=f"of a model that is begun, {SLOWNESS:g} if not given"
    )
    train(parser.parse_args())
