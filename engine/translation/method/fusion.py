"""What one key frame takes over from another: Eqs 7, 10 and 11, and AdaIN (4.1.2 to 4.1.4).

Latents are [1, C, h, w]; masks are 1 where the references do not show what the key frame shows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from engine.translation.method.level import Level

_FLAT = 1e-3
"""A mask that varies by less than this around a cell is flat there."""
_SMALLEST_DEVIATION = 1e-6


def fuse_shape(x0: Tensor, reference: Tensor, displacement: Tensor, mask: Tensor) -> Tensor:
    """Shape-aware latent fusion, Eq. 7: the predicted x0 of the reference, moved to its place.

    `displacement` [2, h, w] leads from the key frame to the reference, in cells; `mask` is
    [1, 1, h, w]. Moved by whole cells, shapes come to lie up to half a cell beside their place: the
    further, the less they count, and at whole cells it is Eq. 7 itself.
    """
    misplaced = (displacement - displacement.round()).abs()
    weight = (1 - mask) * (1 - 2 * misplaced).prod(0)
    return (1 - weight) * x0 + weight * warp_nearest(reference, displacement)


def warp_nearest(latent: Tensor, displacement: Tensor) -> Tensor:
    """The latent at p + displacement(p), to the nearest cell: mixed latents are blurred ones."""
    height, width = latent.shape[-2:]
    x = torch.arange(width, device=latent.device) + displacement[0]
    y = torch.arange(height, device=latent.device)[:, None] + displacement[1]
    column = x.round().long().clamp(0, width - 1)
    row = y.round().long().clamp(0, height - 1)
    return latent[..., row, column]


def adain(x0: Tensor, like: Tensor) -> Tensor:
    """Color-aware adaptive latent adjustment (4.1.4): mean and deviation of each channel."""
    space = (-2, -1)
    deviation = x0.std(space, keepdim=True).clamp_min(_SMALLEST_DEVIATION)
    normal = (x0 - x0.mean(space, keepdim=True)) / deviation
    return normal * like.std(space, keepdim=True) + like.mean(space, keepdim=True)


def overlay(
    rough: Tensor, takes: Sequence[Tensor], occlusions: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Eq. 10: the takes of the references, moved to where the key frame shows the same, over the
    rough picture [1, 3, H, W]; the anchor, which is the first, on top.

    Returns with it the mask [1, 1, H, W] of what is left of the rough picture.
    """
    fused, mask = rough, torch.ones_like(rough[:, :1])
    for take, occlusion in zip(reversed(takes), reversed(occlusions), strict=True):
        fused = occlusion * fused + (1 - occlusion) * take
        mask = mask * occlusion
    return fused, mask


def fuse_pixels(
    x0: Tensor,
    noise: Tensor,
    target: Tensor,
    target_noise: Tensor,
    level: Level,
    weight: Tensor,
    detail: float,
) -> Tensor:
    """Pixel-aware latent fusion, Eq. 11: the next x_t (Eq. 3), pulled to the noised target (Eq. 2).

    `level` is that of the next step. `weight` [1, 1, h, w] says how much of the target: 1 outside
    the mask is Eq. 11 itself. Less mixes two noises, of which the mixture is weaker than each:
    where the weight is even, `detail` says how much of the loss the key frame's own noise makes up
    for.
    """
    kept = 1 - weight
    restored = torch.maximum(kept, detail * (1 - weight.square()).sqrt())
    own = torch.where(_is_flat(weight), restored, kept)
    return level.noised(kept * x0, own * noise) + weight * level.noised(target, target_noise)


def _is_flat(weight: Tensor) -> Tensor:
    highest = max_pool2d(weight, 3, 1, 1)
    lowest = -max_pool2d(-weight, 3, 1, 1)
    return highest - lowest < _FLAT


def displacement_of_cells(displacement: Tensor, cell: int) -> Tensor:
    """A flow [2, H, W] in pixels as one of latent cells of `cell` pixels a side, [2, h, w]."""
    height, width = (side // cell for side in displacement.shape[-2:])
    smaller = interpolate(displacement[None], (height, width), mode="bilinear", align_corners=False)
    return smaller[0] / cell


def mask_of_cells(mask: Tensor, cell: int) -> Tensor:
    """A mask [1, 1, H, W] for latent cells: what hides a single pixel hides the cell."""
    return max_pool2d(mask, cell)
