"""Fidelity-oriented encoding (Eqs 8 and 9) on an autoencoder that really loses something."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from engine.settings import TranslationSettings
from engine.translation.method.fidelity import fidelity_encoding

if TYPE_CHECKING:
    from tests.engine.conftest import Photo

SIZE = 96


class Autoencoder:
    def __init__(self, folder: Path) -> None:
        network: Any = AutoencoderKL
        self.vae = network.from_pretrained(folder / "vae").eval()

    def encode(self, pixels: Tensor) -> Tensor:
        latent: Tensor = self.vae.encode(pixels).latent_dist.mode()
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        pixels: Tensor = self.vae.decode(latent).sample
        return pixels.clamp(-1, 1)


@pytest.fixture(scope="module")
def autoencoder(pocket_settings: TranslationSettings) -> Autoencoder:
    return Autoencoder(Path(pocket_settings.model))


@pytest.fixture
def pixels(photo: "Photo") -> Tensor:
    return torch.from_numpy(photo(SIZE, SIZE).transpose(2, 0, 1)[None]) * 2 - 1


@torch.inference_mode()
def psnr_of_rounds(pixels: Tensor, again: Callable[[Tensor], Tensor]) -> list[float]:
    """After one to ten rounds of encoding and decoding."""
    picture, found = pixels, []
    for _ in range(10):
        picture = again(picture)
        found.append(float(-10 * torch.log10(((picture - pixels) / 2).square().mean())))
    return found


def test_encoding_ten_times_keeps_the_picture_far_better_than_plain_encoding(
    autoencoder: Autoencoder, pixels: Tensor
) -> None:
    def plain(picture: Tensor) -> Tensor:
        return autoencoder.decode(autoencoder.encode(picture))

    def faithful(picture: Tensor) -> Tensor:
        encoding = fidelity_encoding(picture, autoencoder.encode, autoencoder.decode)
        return autoencoder.decode(encoding)

    with_fidelity, without = (psnr_of_rounds(pixels, way) for way in (faithful, plain))
    assert with_fidelity[0] > without[0]
    assert with_fidelity[-1] > without[-1] + 3


def test_where_compensation_makes_it_worse_the_plain_encoding_stays() -> None:
    """A decoder that loses a little, and overshoots in one of its cells."""
    pixels = torch.zeros(1, 3, 64, 64)

    def encode(picture: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(picture, 8)

    def decode(latent: Tensor) -> Tensor:
        overshoot = torch.zeros_like(latent)
        overshoot[..., 6, 1] = 10 * latent[..., 6, 1].clamp_min(0)
        return (latent - 0.05 + overshoot).repeat_interleave(8, 2).repeat_interleave(8, 3)

    encoding = fidelity_encoding(pixels, encode, decode)
    compensated = torch.ones(8, 8, dtype=torch.bool)
    compensated[5:8, 0:3] = False
    assert torch.allclose(encoding[0, 0], torch.where(compensated, 0.05, 0.0), atol=1e-6)
