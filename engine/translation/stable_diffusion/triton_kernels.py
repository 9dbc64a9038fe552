"""The Triton kernels of `triton_layers.py`. Tensors are channels last: [B, H, W, C] in memory."""

# ruff: noqa: N803 - what is known when a kernel is compiled is written in capitals
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def measure(
    x,
    shift,
    stride,
    sums,
    pixels,
    channels,
    SHIFTED: tl.constexpr,
    GROUP: tl.constexpr,
    PARTS: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The sums of the values and of their squares in one part of the pixels of one group."""
    group, part = tl.program_id(0), tl.program_id(1)
    frame, first = group // (channels // GROUP), group % (channels // GROUP) * GROUP
    columns = tl.arange(0, WIDE)
    x += frame.to(tl.int64) * pixels * channels + first
    moved = tl.zeros([WIDE], tl.float32)
    if SHIFTED:
        moved += tl.load(shift + frame * stride + first + columns, columns < GROUP, 0.0)
    total, squares = tl.zeros([ROWS, WIDE], tl.float32), tl.zeros([ROWS, WIDE], tl.float32)
    size = tl.cdiv(pixels, PARTS)
    end = tl.minimum((part + 1) * size, pixels)
    for begin in range(part * size, end, ROWS):
        rows = begin + tl.arange(0, ROWS)
        inside = (rows < end)[:, None] & (columns < GROUP)[None, :]
        values = tl.load(x + rows[:, None] * channels + columns[None, :], inside, 0.0)
        values = tl.where(inside, values.to(tl.float32) + moved[None, :], 0.0)
        total += values
        squares += values * values
    sums += (group * PARTS + part) * 2
    tl.store(sums, tl.sum(tl.sum(total, 1), 0))
    tl.store(sums + 1, tl.sum(tl.sum(squares, 1), 0))


@triton.jit
def normalize(
    x,
    shift,
    stride,
    sums,
    weight,
    bias,
    output,
    pixels,
    channels,
    eps,
    SHIFTED: tl.constexpr,
    GROUP: tl.constexpr,
    PARTS: tl.constexpr,
    ACTIVE: tl.constexpr,
    ROWS: tl.constexpr,
    TURNS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A block of channels of some pixels of one frame."""
    frame = tl.program_id(2)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = columns < channels
    total, squares = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    sums += (frame * (channels // GROUP) + columns // GROUP) * PARTS * 2
    for part in range(PARTS):
        total += tl.load(sums + part * 2, known, 0.0)
        squares += tl.load(sums + part * 2 + 1, known, 0.0)
    mean = total / (pixels * GROUP)
    variance = tl.maximum(squares / (pixels * GROUP) - mean * mean, 0.0)
    scale = tl.rsqrt(variance + eps) * tl.load(weight + columns, known, 0.0).to(tl.float32)
    moved = -mean
    if SHIFTED:
        moved += tl.load(shift + frame * stride + columns, known, 0.0)
    constant = moved * scale + tl.load(bias + columns, known, 0.0).to(tl.float32)
    start = frame.to(tl.int64) * pixels * channels
    for turn in range(TURNS):
        rows = (tl.program_id(0) * TURNS + turn) * ROWS + tl.arange(0, ROWS)
        at = start + rows[:, None] * channels + columns[None, :]
        inside = (rows < pixels)[:, None] & known[None, :]
        values = tl.load(x + at, inside, 0.0).to(tl.float32) * scale[None, :] + constant[None, :]
        if ACTIVE:
            values *= tl.sigmoid(values)
        tl.store(output + at, values.to(output.dtype.element_ty), inside)


@triton.jit
def add_and_normalize(
    x, other, total, weight, bias, output, width, eps, ADDS: tl.constexpr, WIDE: tl.constexpr
):
    """One row: the sum of x and other, rounded, and its layer norm."""
    row = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, WIDE)
    inside = column < width
    value = tl.load(x + row + column, inside, 0.0).to(tl.float32)
    if ADDS:
        value += tl.load(other + row + column, inside, 0.0).to(tl.float32)
        rounded = value.to(total.dtype.element_ty)
        tl.store(total + row + column, rounded, inside)
        value = rounded.to(tl.float32)
    mean = tl.sum(value, 0) / width
    apart = tl.where(inside, value - mean, 0.0)
    scale = tl.rsqrt(tl.sum(apart * apart, 0) / width + eps)
    scaled = apart * scale * tl.load(weight + column, inside, 0.0).to(tl.float32)
    scaled += tl.load(bias + column, inside, 0.0).to(tl.float32)
    tl.store(output + row + column, scaled.to(output.dtype.element_ty), inside)


@triton.jit
def gate(inner, output, width, BLOCK: tl.constexpr):
    """Of each row (a, b): a * gelu(b)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    inner += row * 2 * width + column
    value = tl.load(inner, inside, 0.0).to(tl.float32)
    gate = tl.load(inner + width, inside, 0.0).to(tl.float32)
    value *= 0.5 * gate * (1 + tl.erf(gate * 0.7071067811865476))
    tl.store(output + row * width + column, value.to(output.dtype.element_ty), inside)


@triton.jit
def add(x, bias, other, output, total, channels, BLOCK: tl.constexpr):
    """Sums x + bias + other, channels last."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    value = tl.load(x + at, inside, 0.0).to(tl.float32)
    value += tl.load(bias + at % channels, inside, 0.0).to(tl.float32)
    value += tl.load(other + at, inside, 0.0).to(tl.float32)
    tl.store(output + at, value.to(output.dtype.element_ty), inside)
