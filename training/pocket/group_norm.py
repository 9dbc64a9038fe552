"""Group normalisation for channels-last tensors on a graphics card, with SiLU in the same pass.

PyTorch normalises [B, C, H, W] tensors that lie in memory as B, H, W, C by copying them to the
other order and back, which takes more time than the convolutions of a network this small. Here:

    y = silu(x * scale + shift),  scale = gamma / sigma_g,  shift = beta - mu_g * scale

with mean mu_g and deviation sigma_g of a picture's group g of channels. Backwards, with
dz = dy * silu'(z), z = x * scale + shift, x^ = (x - mu_g) / sigma_g and M values in a group:

    dx = (gamma * dz - mean_g(gamma * dz) - x^ * mean_g(gamma * dz * x^)) / sigma_g

Each pass reads a tile of rows and all channels; sums over a picture are made in two stages.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

_TILE = 8192
"""Values in a tile."""
_MOST_TILES = 64
"""Of one picture whose sums are added in the second stage."""


class GroupNormSiLU(nn.Module):
    """Takes over the weights of `norm`; with `silu`, its result goes through SiLU."""

    def __init__(self, norm: nn.GroupNorm, silu: bool) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.epsilon, self.silu = norm.num_groups, norm.eps, silu

    def forward(self, x: Tensor) -> Tensor:
        return _GroupNormSiLU.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, self.weight, self.bias, self.groups, self.epsilon, self.silu
        )


class _GroupNormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        groups: int,
        epsilon: float,
        silu: bool,
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        grid = _Grid(x, groups)
        sums = grid.partial_sums()
        _sums[grid.tiles](x, sums, *grid.sizes)
        factors = grid.per_channel(4)  # scale, shift, mean, 1 / deviation
        _finish[grid.groups](sums, gamma, beta, factors, epsilon, *grid.group_sizes)
        _apply[grid.tiles](x, y, factors, silu, *grid.sizes)
        ctx.save_for_backward(x, gamma, factors)
        ctx.groups, ctx.silu = groups, silu
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, factors = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        grid = _Grid(x, ctx.groups)
        sums = grid.partial_sums()
        _sums_backward[grid.tiles](x, dy, factors, sums, ctx.silu, *grid.sizes)
        back = grid.per_channel(4)  # factors of dz, x and 1 in dx; d gamma of each picture
        _finish_backward[grid.groups](sums, gamma, factors, back, *grid.group_sizes)
        _apply_backward[grid.tiles](x, dy, dx, factors, back, ctx.silu, *grid.sizes)
        d_gamma = back[:, 3].sum(0).to(gamma.dtype)
        d_beta = sums[:, :, 0].sum((0, 1)).to(gamma.dtype)
        return dx, d_gamma, d_beta, None, None, None


class _Grid:
    """How the passes over [B, C, H, W] are cut up."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.batch, self.channels = x.shape[:2]
        pixels = x.shape[2] * x.shape[3]
        wide = triton.next_power_of_2(self.channels)
        rows = max(1, min(_TILE // wide, triton.next_power_of_2(pixels)))
        each = -(-pixels // min(_MOST_TILES, -(-pixels // rows)))
        self.count = -(-pixels // each)
        self.device = x.device
        self.tiles = (self.batch, self.count)
        self.groups = (self.batch, groups)
        self.sizes = (pixels, self.channels, each, rows, wide)
        size = self.channels // groups
        self.group_sizes = (
            pixels,
            self.channels,
            size,
            self.count,
            triton.next_power_of_2(self.count),
            triton.next_power_of_2(size),
        )

    def partial_sums(self) -> Tensor:
        return torch.empty((self.batch, self.count, 2, self.channels), device=self.device)

    def per_channel(self, facts: int) -> Tensor:
        return torch.empty((self.batch, facts, self.channels), device=self.device)


@triton.jit  # type: ignore[untyped-decorator]
def _sums(x, sums, pixels, channels, each, rows: tl.constexpr, wide: tl.constexpr):  # type: ignore[no-untyped-def]
    """The sums of x and of its squares over a tile, for each channel."""
    picture, tile = tl.program_id(0), tl.program_id(1)
    row, column = tl.arange(0, rows)[:, None], tl.arange(0, wide)[None, :]
    last = tl.minimum((tile + 1) * each, pixels)
    total = tl.zeros((wide,), tl.float32)
    squares = tl.zeros((wide,), tl.float32)
    start = picture.to(tl.int64) * pixels
    for first in range(tile * each, last, rows):
        inside = (first + row < last) & (column < channels)
        values = tl.load(x + (start + first + row) * channels + column, inside, 0.0).to(tl.float32)
        total += tl.sum(values, 0)
        squares += tl.sum(values * values, 0)
    channel = tl.arange(0, wide)
    target = sums + (picture * tl.num_programs(1) + tile) * 2 * channels + channel
    tl.store(target, total, channel < channels)
    tl.store(target + channels, squares, channel < channels)


@triton.jit  # type: ignore[untyped-decorator]
def _finish(  # type: ignore[no-untyped-def]
    sums, gamma, beta, factors, epsilon, pixels, channels, size, count,
    counts: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """scale, shift, mean and 1 / deviation of a group's channels."""
    picture, group = tl.program_id(0), tl.program_id(1)
    tile, member = tl.arange(0, counts)[:, None], tl.arange(0, wide)
    channel, present = group * size + member, member < size
    inside = (tile < count) & present[None, :]
    source = sums + (picture * count + tile) * 2 * channels + channel[None, :]
    values = pixels * size
    mean = tl.sum(tl.load(source, inside, 0.0)) / values
    variance = tl.sum(tl.load(source + channels, inside, 0.0)) / values - mean * mean
    inverse = 1 / tl.sqrt(tl.maximum(variance, 0.0) + epsilon)
    scale = tl.load(gamma + channel, present, 0.0).to(tl.float32) * inverse
    shift = tl.load(beta + channel, present, 0.0).to(tl.float32) - mean * scale
    target = factors + picture * 4 * channels + channel
    tl.store(target, scale, present)
    tl.store(target + channels, shift, present)
    tl.store(target + 2 * channels, mean + 0 * scale, present)
    tl.store(target + 3 * channels, inverse + 0 * scale, present)


@triton.jit  # type: ignore[untyped-decorator]
def _apply(  # type: ignore[no-untyped-def]
    x, y, factors, silu: tl.constexpr, pixels, channels, each,
    rows: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    picture, tile = tl.program_id(0), tl.program_id(1)
    row, column = tl.arange(0, rows)[:, None], tl.arange(0, wide)[None, :]
    last = tl.minimum((tile + 1) * each, pixels)
    source = factors + picture * 4 * channels + column
    scale = tl.load(source, column < channels, 0.0)
    shift = tl.load(source + channels, column < channels, 0.0)
    start = picture.to(tl.int64) * pixels
    for first in range(tile * each, last, rows):
        inside = (first + row < last) & (column < channels)
        place = (start + first + row) * channels + column
        z = tl.load(x + place, inside, 0.0).to(tl.float32) * scale + shift
        if silu:
            z = z * tl.sigmoid(z)
        tl.store(y + place, z.to(y.dtype.element_ty), inside)


@triton.jit  # type: ignore[untyped-decorator]
def _slope(x, dy, scale, shift, silu: tl.constexpr):  # type: ignore[no-untyped-def]
    """Dz."""
    if silu:
        z = x * scale + shift
        gate = tl.sigmoid(z)
        dy = dy * gate * (1 + z * (1 - gate))
    return dy


@triton.jit  # type: ignore[untyped-decorator]
def _sums_backward(  # type: ignore[no-untyped-def]
    x, dy, factors, sums, silu: tl.constexpr, pixels, channels, each,
    rows: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """The sums of dz and of dz * x over a tile, for each channel."""
    picture, tile = tl.program_id(0), tl.program_id(1)
    row, column = tl.arange(0, rows)[:, None], tl.arange(0, wide)[None, :]
    last = tl.minimum((tile + 1) * each, pixels)
    source = factors + picture * 4 * channels + column
    scale = tl.load(source, column < channels, 0.0)
    shift = tl.load(source + channels, column < channels, 0.0)
    total = tl.zeros((wide,), tl.float32)
    products = tl.zeros((wide,), tl.float32)
    start = picture.to(tl.int64) * pixels
    for first in range(tile * each, last, rows):
        inside = (first + row < last) & (column < channels)
        place = (start + first + row) * channels + column
        values = tl.load(x + place, inside, 0.0).to(tl.float32)
        dz = _slope(values, tl.load(dy + place, inside, 0.0).to(tl.float32), scale, shift, silu)
        total += tl.sum(dz, 0)
        products += tl.sum(dz * values, 0)
    channel = tl.arange(0, wide)
    target = sums + (picture * tl.num_programs(1) + tile) * 2 * channels + channel
    tl.store(target, total, channel < channels)
    tl.store(target + channels, products, channel < channels)


@triton.jit  # type: ignore[untyped-decorator]
def _finish_backward(  # type: ignore[no-untyped-def]
    sums, gamma, factors, back, pixels, channels, size, count,
    counts: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Factors of dx = back[0] * dz + back[1] * x + back[2]; back[3] is d gamma of this picture."""
    picture, group = tl.program_id(0), tl.program_id(1)
    tile, member = tl.arange(0, counts)[:, None], tl.arange(0, wide)
    channel, present = group * size + member, member < size
    inside = (tile < count) & present[None, :]
    source = sums + (picture * count + tile) * 2 * channels + channel[None, :]
    total = tl.sum(tl.load(source, inside, 0.0), 0)
    products = tl.sum(tl.load(source + channels, inside, 0.0), 0)
    facts = factors + picture * 4 * channels + channel
    scale = tl.load(facts, present, 0.0)
    mean = tl.load(facts + 2 * channels, present, 0.0)
    inverse = tl.load(facts + 3 * channels, present, 0.0)
    weight = tl.load(gamma + channel, present, 0.0).to(tl.float32)
    d_gamma = (products - mean * total) * inverse
    values = pixels * size
    level = tl.sum(weight * total) / values
    slope = tl.sum(weight * d_gamma) / values
    of_x = -slope * inverse * inverse
    target = back + picture * 4 * channels + channel
    tl.store(target, scale, present)
    tl.store(target + channels, of_x, present)
    tl.store(target + 2 * channels, -level * inverse - mean * of_x, present)
    tl.store(target + 3 * channels, d_gamma, present)


@triton.jit  # type: ignore[untyped-decorator]
def _apply_backward(  # type: ignore[no-untyped-def]
    x, dy, dx, factors, back, silu: tl.constexpr, pixels, channels, each,
    rows: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    picture, tile = tl.program_id(0), tl.program_id(1)
    row, column = tl.arange(0, rows)[:, None], tl.arange(0, wide)[None, :]
    last = tl.minimum((tile + 1) * each, pixels)
    source = factors + picture * 4 * channels + column
    scale = tl.load(source, column < channels, 0.0)
    shift = tl.load(source + channels, column < channels, 0.0)
    source = back + picture * 4 * channels + column
    of_dz = tl.load(source, column < channels, 0.0)
    of_x = tl.load(source + channels, column < channels, 0.0)
    constant = tl.load(source + 2 * channels, column < channels, 0.0)
    start = picture.to(tl.int64) * pixels
    for first in range(tile * each, last, rows):
        inside = (first + row < last) & (column < channels)
        place = (start + first + row) * channels + column
        values = tl.load(x + place, inside, 0.0).to(tl.float32)
        dz = _slope(values, tl.load(dy + place, inside, 0.0).to(tl.float32), scale, shift, silu)
        result = of_dz * dz + of_x * values + constant
        tl.store(dx + place, result.to(dx.dtype.element_ty), inside)
