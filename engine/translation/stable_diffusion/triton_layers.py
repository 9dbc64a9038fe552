"""The same networks in fewer passes over memory, for a graphics card.

A step of Stable Diffusion spends half of its time in operations that do next to nothing with each
number: normalising, activating, adding. Here each group of them is one Triton kernel, or two for
group norm, and tensors stay channels last throughout: 9.1 ms in place of 13.5 (H100, 512x512).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, silu

from engine.translation.stable_diffusion import triton_kernels as kernels

_CHANNELS = 64
"""To a block of the kernels."""
_WORK_ITEMS = 384
"""So many blocks keep a card busy."""


def fuse(network: Any) -> None:
    """Makes a U-Net, a ControlNet or a VAE, channels last, compute by these kernels."""
    for module in network.modules():
        if isinstance(module, ResnetBlock2D) and _is_plain(module):
            _compute(module, _resnet_block)
        elif isinstance(module, Transformer2DModel) and module.is_input_continuous:
            _compute(module, _transformer)
        elif isinstance(module, BasicTransformerBlock) and _has_layer_norms(module):
            _compute(module, _transformer_block)
        elif isinstance(module, GEGLU):
            _compute(module, _gated)
        elif isinstance(module, nn.Conv2d) and _is_pointwise(module):
            _compute(module, _pointwise)
        if isinstance(getattr(module, "conv_norm_out", None), nn.GroupNorm):
            _compute(module.conv_norm_out, partial(_normalized, active=True))
            module.conv_act = nn.Identity()


def _compute(module: Any, by: Callable[..., object]) -> None:
    module.forward = partial(by, module)


def _is_plain(block: Any) -> bool:
    """Those of a VAE have no time; what they say of its norm means nothing."""
    return (
        (block.time_embedding_norm == "default" or block.time_emb_proj is None)
        and block.upsample is None
        and block.downsample is None
        and block.output_scale_factor == 1
        and isinstance(block.nonlinearity, nn.SiLU)
    )


def _has_layer_norms(block: Any) -> bool:
    return (
        block.norm_type == "layer_norm"
        and block.attn2 is not None
        and block.pos_embed is None
        and not block.only_cross_attention
        and block.norm1.elementwise_affine
    )


def _is_pointwise(layer: nn.Conv2d) -> bool:
    plain = layer.stride == (1, 1) and layer.padding == (0, 0) and layer.groups == 1
    return plain and layer.kernel_size == (1, 1)


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of one pixel, with its bias in the same kernel."""
    return _projected(layer, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _resnet_block(block: Any, x: Tensor, temb: Tensor | None) -> Tensor:
    inner = _without_bias(block.conv1, _normalized(block.norm1, x, active=True))
    added = None if temb is None else block.time_emb_proj(silu(temb))
    inner = _normalized(block.norm2, inner, block.conv1.bias, added, active=True)
    outer = x if block.conv_shortcut is None else block.conv_shortcut(x)
    return _sum(_without_bias(block.conv2, inner), block.conv2.bias, outer)


def _without_bias(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return conv2d(x, layer.weight, None, layer.stride, layer.padding)


def _transformer(
    network: Any, x: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
) -> tuple[Tensor]:
    batch, channels, height, width = x.shape
    tokens = _normalized(network.norm, x).permute(0, 2, 3, 1).reshape(batch, -1, channels)
    tokens = _projected(network.proj_in, tokens)
    for block in network.transformer_blocks:
        tokens = block(tokens, encoder_hidden_states=encoder_hidden_states)
    tokens = _projected(network.proj_out, tokens)
    return (tokens.reshape(batch, height, width, -1).permute(0, 3, 1, 2) + x,)


def _transformer_block(
    block: Any, tokens: Tensor, encoder_hidden_states: Tensor, **_: object
) -> Tensor:
    """Attention to the picture, to the words, and the layers behind; tokens [B, N, C]."""
    tokens, normal = _layer_normalized(block.norm1, tokens)
    tokens, normal = _layer_normalized(block.norm2, tokens, block.attn1(normal))
    attended = block.attn2(normal, encoder_hidden_states=encoder_hidden_states)
    tokens, normal = _layer_normalized(block.norm3, tokens, attended)
    output: Tensor = block.ff(normal)
    return output + tokens


def _layer_normalized(
    norm: nn.LayerNorm, tokens: Tensor, added: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Tokens [B, N, C] + added, and the layer norm of that."""
    tokens = tokens.contiguous()
    width = tokens.shape[-1]
    total = tokens if added is None else torch.empty_like(tokens)
    output = torch.empty_like(tokens)
    kernels.add_and_normalize[(tokens.numel() // width,)](
        tokens,
        added if added is None else added.contiguous(),
        total,
        norm.weight,
        norm.bias,
        output,
        width,
        norm.eps,
        ADDS=added is not None,
        WIDE=triton.next_power_of_2(width),
    )
    return total, output


def _projected(layer: Any, tokens: Tensor) -> Tensor:
    """By a linear layer, or a convolution of one pixel, which is the same."""
    projected: Tensor = linear(tokens, layer.weight.flatten(1), layer.bias)
    return projected


def _gated(layer: GEGLU, tokens: Tensor, *_: object, **__: object) -> Tensor:
    inner = layer.proj(tokens)
    width = inner.shape[-1] // 2
    output: Tensor = inner.new_empty(*inner.shape[:-1], width)
    grid = (output.numel() // width, triton.cdiv(width, 1024))
    kernels.gate[grid](inner, output, width, BLOCK=1024)
    return output


def _normalized(
    norm: nn.GroupNorm,
    x: Tensor,
    bias: Tensor | None = None,
    added: Tensor | None = None,
    *,
    active: bool = False,
) -> Tensor:
    """Group norm of x [B, C, H, W] + bias [C] + added [B, C], and with `active` its SiLU."""
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = x.shape
    pixels, group = height * width, channels // norm.num_groups
    groups = batch * norm.num_groups
    parts = min(max(_WORK_ITEMS // groups, 1), triton.cdiv(pixels, 256))
    shift = bias if added is None or bias is None else added + bias
    sums = torch.empty(groups, parts, 2, device=x.device)
    output = torch.empty_like(x)
    wide = triton.next_power_of_2(group)
    shape = {"SHIFTED": shift is not None, "GROUP": group, "PARTS": parts}
    stride = 0 if added is None else channels
    kernels.measure[groups, parts](
        x, shift, stride, sums, pixels, channels, **shape, WIDE=wide, ROWS=max(2048 // wide, 1)
    )
    tiles = triton.cdiv(pixels, 32) * triton.cdiv(channels, _CHANNELS) * batch
    turns = min(max(tiles // 4096, 1), 16)
    grid = triton.cdiv(pixels, 32 * turns), triton.cdiv(channels, _CHANNELS), batch
    kernels.normalize[grid](
        x,
        shift,
        stride,
        sums,
        norm.weight,
        norm.bias,
        output,
        pixels,
        channels,
        norm.eps,
        **shape,
        ACTIVE=active,
        ROWS=32,
        TURNS=turns,
        BLOCK=_CHANNELS,
    )
    return output


def _sum(x: Tensor, bias: Tensor, other: Tensor) -> Tensor:
    """Sums x [B, C, H, W] + bias [C] + other."""
    other = other.contiguous(memory_format=torch.channels_last)
    output = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), 2048),)
    kernels.add[grid](x, bias, other, output, x.numel(), x.shape[1], BLOCK=2048)
    return output
