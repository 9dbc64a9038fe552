"""Noise that key frames share."""

import hashlib

import torch
from torch import Tensor


def shared_noise(seed: int, purpose: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise that depends on its arguments only, so that every key frame of a seed
    starts from the same noise and any of them can be painted again alone, bit for bit.
    """
    digest = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=7).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest))
    return torch.randn(shape, generator=generator)
