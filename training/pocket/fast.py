"""Networks of diffusers made quick to train on a graphics card: channels last, fused normalisation.

Their weights, and the names under which they are saved, stay as they are.
"""

from types import MethodType
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional


def quicken(network: Any) -> None:
    """Changes `network` in place; only for training on a graphics card."""
    from training.pocket.group_norm import GroupNormSiLU  # needs Triton

    for module in list(network.modules()):
        if isinstance(module, ResnetBlock2D):
            _fuse(module)
        elif isinstance(getattr(module, "norm", None), nn.GroupNorm):
            module.norm = GroupNormSiLU(module.norm, silu=False)
        if isinstance(getattr(module, "conv_norm_out", None), nn.GroupNorm):
            module.conv_norm_out = GroupNormSiLU(module.conv_norm_out, silu=True)
            module.conv_act = nn.Identity()
    network.to(memory_format=torch.channels_last)


def _fuse(block: Any) -> None:
    from training.pocket.group_norm import GroupNormSiLU  # needs Triton

    block.norm1 = GroupNormSiLU(block.norm1, silu=True)
    block.norm2 = GroupNormSiLU(block.norm2, silu=True)
    block.forward = MethodType(_residual, block)


def _residual(block: Any, x: Tensor, temb: Tensor | None = None) -> Tensor:
    """What ResnetBlock2D computes without resampling, with its normalisations fused."""
    inner: Tensor = block.conv1(block.norm1(x))
    if temb is not None:
        inner = inner + block.time_emb_proj(functional.silu(temb))[:, :, None, None]
    inner = block.conv2(block.norm2(inner))
    kept: Tensor = x if block.conv_shortcut is None else block.conv_shortcut(x)
    return kept + inner
