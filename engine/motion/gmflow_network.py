"""The network of "GMFlow: Learning Optical Flow via Global Matching" (Xu et al., CVPR 2022).

Features of both pictures at an eighth of their size are made to know each other by a transformer
(section 3.2 there); each cell of the first is matched with all cells of the second (3.1); the flow
is then carried to cells without a match from cells that look alike (3.3), and brought to the size
of the pictures. Modules have the names that the published checkpoints know.

Pictures are [1, 3, H, W] with sides that are multiples of 16, features [B, h, w, C] with h = H / 8.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CELL = 8
"""Side of a cell in pixels."""
CHANNELS = 128
WINDOWS = 2
"""Along each side of the picture, for attention within windows."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class GmFlowNetwork(nn.Module):
    """Two pictures in, flow out."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.transformer = _Transformer()
        self.feature_flow_attn = _Propagation()
        self.upsampler = nn.Sequential(
            nn.Conv2d(2 + CHANNELS, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 9 * CELL * CELL, 1),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The flow [1, 2, H, W] in pixels, of pictures in 0..1."""
        features = self.backbone(_normalised(torch.cat([first, second])))
        features = features.permute(0, 2, 3, 1).contiguous()
        features = self.transformer(features + positions(features))
        start, goal = features.chunk(2)
        flow = self.feature_flow_attn(start, match(start, goal))
        return self._upsampled(flow.permute(0, 3, 1, 2), start.permute(0, 3, 1, 2))

    def _upsampled(self, flow: Tensor, features: Tensor) -> Tensor:
        """Each pixel's flow is a mean of its cell's and its neighbours', with learnt weights (as in
        RAFT, Teed and Deng 2020).
        """
        _, _, height, width = flow.shape
        weights = self.upsampler(torch.cat([flow, features], dim=1))
        weights = weights.view(1, 9, CELL, CELL, height, width).softmax(dim=1)
        neighbours = functional.unfold(CELL * flow, 3, padding=1).view(2, 9, height, width)
        pixels = torch.einsum("nabhw,cnhw->chawb", weights[0], neighbours)
        return pixels.reshape(1, 2, CELL * height, CELL * width)


def match(first: Tensor, second: Tensor) -> Tensor:
    """Global matching, Eqs 1 to 4: the flow [1, h, w, 2] between features [1, h, w, C], in cells.

    Each cell goes to the mean position in `second`, weighted by the likeness of features.
    """
    _, height, width, _ = first.shape
    x = torch.arange(width, device=first.device).expand(height, width)
    y = torch.arange(height, device=first.device)[:, None].expand(height, width)
    grid = torch.stack([x, y], dim=-1)[None].to(first)
    return _attend_to_vectors(first, second, grid) - grid


class _Propagation(nn.Module):
    """Flow from cells that look alike, Eq. 6."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, CHANNELS)
        self.k_proj = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, features: Tensor, flow: Tensor) -> Tensor:
        # The published weights were trained with keys made from queries, not from features.
        query = self.q_proj(features)
        return _attend_to_vectors(query, self.k_proj(query), flow)


def _attend_to_vectors(query: Tensor, key: Tensor, vectors: Tensor) -> Tensor:
    """The mean of `vectors` [1, h, w, 2] that each cell attends to."""
    # With as many channels as keys have, which the kernels that never hold all pairs ask for.
    padded = functional.pad(vectors, (0, CHANNELS - vectors.shape[-1]))
    return _attend(query, key, padded)[..., : vectors.shape[-1]]


class _Transformer(nn.Module):
    """Six blocks, Eq. 5; windows are shifted in every other one (Swin, Liu et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Block() for _ in range(6))

    def forward(self, features: Tensor) -> Tensor:
        """Features [2, h, w, C] of both pictures."""
        for number, layer in enumerate(self.layers):
            features = layer(features, features.flip(0), shifted=number % 2 == 1)
        return features


class _Block(nn.Module):
    """Each picture looks at itself, then at the other one."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = _Attention()
        self.cross_attn_ffn = _CrossAttention()

    def forward(self, features: Tensor, others: Tensor, *, shifted: bool) -> Tensor:
        features = features + self.self_attn(features, features, shifted=shifted)
        joined: Tensor = features + self.cross_attn_ffn(features, others, shifted=shifted)
        return joined


class _Attention(nn.Module):
    """What each cell hears from the cells of its window."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.k_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.v_proj = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.merge = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.norm1 = nn.LayerNorm(CHANNELS)

    def forward(self, features: Tensor, others: Tensor, *, shifted: bool) -> Tensor:
        query, key, value = self.q_proj(features), self.k_proj(others), self.v_proj(others)
        heard = attend_in_windows(query, key, value, shifted=shifted)
        merged: Tensor = self.norm1(self.merge(heard))
        return merged


class _CrossAttention(_Attention):
    """The same from the other picture, thought over together with what is known."""

    def __init__(self) -> None:
        super().__init__()
        wide = 2 * CHANNELS
        self.mlp = nn.Sequential(
            nn.Linear(wide, 4 * wide, bias=False),
            nn.GELU(),
            nn.Linear(4 * wide, CHANNELS, bias=False),
        )
        self.norm2 = nn.LayerNorm(CHANNELS)

    def forward(self, features: Tensor, others: Tensor, *, shifted: bool) -> Tensor:
        heard = super().forward(features, others, shifted=shifted)
        thought: Tensor = self.norm2(self.mlp(torch.cat([features, heard], dim=-1)))
        return thought


def attend_in_windows(query: Tensor, key: Tensor, value: Tensor, *, shifted: bool) -> Tensor:
    """Attention within windows, [B, h, w, C] each.

    Windows that are shifted by half their size leave rows and columns of half windows at the
    borders, which are windows of their own.
    """
    heard = torch.empty_like(query)
    _, height, width, _ = query.shape
    for rows in _windows(height, shifted=shifted):
        for columns in _windows(width, shifted=shifted):
            part = (slice(None), rows, columns)
            heard[part] = _attend(query[part], key[part], value[part])
    return heard


def _windows(side: int, *, shifted: bool) -> list[slice]:
    window = side // WINDOWS
    first = window // 2 if shifted else window
    edges = [0, *range(first, side, window), side]
    return [slice(start, end) for start, end in pairwise(edges)]


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax(query key^T / sqrt(C)) value over all cells, [B, h, w, C] each."""
    # The kernels that never hold all pairs ask for an axis of heads, and for channels side by side.
    queries, keys, values = (tensor.flatten(1, 2)[:, None] for tensor in (query, key, value))
    return functional.scaled_dot_product_attention(queries, keys, values).view(query.shape)


def positions(features: Tensor) -> Tensor:
    """Sine and cosine of each cell's position in its window, [h, w, C] (Vaswani et al. 2017)."""
    _, height, width, _ = features.shape
    rows = _waves(height // WINDOWS, features).repeat(WINDOWS, 1)
    columns = _waves(width // WINDOWS, features).repeat(WINDOWS, 1)
    along_y = rows[:, None].expand(-1, width, -1)
    along_x = columns[None].expand(height, -1, -1)
    return torch.cat([along_y, along_x], dim=-1)


def _waves(count: int, like: Tensor) -> Tensor:
    """The positions 1 to `count`, scaled to a turn, in waves that grow longer, [count, C / 2]."""
    half = CHANNELS // 2
    position = torch.arange(1, count + 1, device=like.device) * (2 * math.pi / (count + 1e-6))
    exponent = torch.arange(half // 2, device=like.device) * (2 / half)
    angles = position[:, None] / 10_000.0**exponent
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like)


def _normalised(pictures: Tensor) -> Tensor:
    mean, deviation = (
        torch.tensor(values, device=pictures.device)[:, None, None]
        for values in (_IMAGENET_MEAN, _IMAGENET_DEVIATION)
    )
    return (pictures - mean) / deviation


class _Backbone(nn.Module):
    """Features of a picture at an eighth of its size, [B, C, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.norm1 = nn.InstanceNorm2d(64)
        self.layer1 = nn.Sequential(_Residual(64, 64, 1), _Residual(64, 64, 1))
        self.layer2 = nn.Sequential(_Residual(64, 96, 2), _Residual(96, 96, 1))
        self.layer3 = nn.Sequential(_Residual(96, 128, 2), _Residual(128, 128, 1))
        self.conv2 = nn.Conv2d(128, CHANNELS, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.norm1(self.conv1(pictures)).relu()
        features = self.layer3(self.layer2(self.layer1(features)))
        described: Tensor = self.conv2(features)
        return described


class _Residual(nn.Module):
    """Two convolutions beside a short cut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.InstanceNorm2d(channels_out)
        self.norm2 = nn.InstanceNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride), nn.InstanceNorm2d(channels_out)
            )

    def forward(self, features: Tensor) -> Tensor:
        middle = self.norm1(self.conv1(features)).relu()
        inner: Tensor = self.norm2(self.conv2(middle)).relu()
        outer: Tensor = self.downsample(features)
        return (outer + inner).relu()
