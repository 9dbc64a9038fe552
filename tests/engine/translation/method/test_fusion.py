"""Eqs 7, 10 and 11 and AdaIN, by their effect and their limits."""

import pytest
import torch
from torch import Tensor

from engine.translation.method.fusion import (
    adain,
    displacement_of_cells,
    fuse_pixels,
    fuse_shape,
    mask_of_cells,
    overlay,
)
from engine.translation.method.level import Level

SHAPE = (1, 4, 12, 16)
LEVEL = Level(1, alpha=0.6**0.5, sigma=0.4**0.5)
NOWHERE, EVERYWHERE = torch.zeros(1, 1, 12, 16), torch.ones(1, 1, 12, 16)


def latent(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def noised(x0: Tensor, noise: Tensor) -> Tensor:
    return LEVEL.noised(x0, noise)


@pytest.mark.parametrize("detail", [0.0, 0.9, 1.0])
def test_full_weight_gives_equation_11_to_the_bit(detail: float) -> None:
    x0, noise, target, target_noise = map(latent, range(4))
    fused = fuse_pixels(x0, noise, target, target_noise, LEVEL, EVERYWHERE, detail)
    assert torch.equal(fused, noised(target, target_noise))


@pytest.mark.parametrize("detail", [0.0, 0.9, 1.0])
def test_no_weight_changes_nothing(detail: float) -> None:
    x0, noise, target, target_noise = map(latent, range(4))
    fused = fuse_pixels(x0, noise, target, target_noise, LEVEL, NOWHERE, detail)
    assert torch.equal(fused, noised(x0, noise))


def test_a_mask_decides_cell_by_cell() -> None:
    x0, noise, target, target_noise = map(latent, range(4))
    weight = NOWHERE.clone()
    weight[..., :8] = 1
    fused = fuse_pixels(x0, noise, target, target_noise, LEVEL, weight, detail=0.9)
    assert torch.equal(fused[..., :8], noised(target, target_noise)[..., :8])
    assert torch.equal(fused[..., 8:], noised(x0, noise)[..., 8:])


def test_detail_gives_back_the_strength_that_noise_loses_when_it_is_mixed() -> None:
    zero, noise, target_noise = torch.zeros(1, 4, 64, 64), *torch.randn(2, 1, 4, 64, 64)
    half = torch.full((1, 1, 64, 64), 0.5)

    def deviation(detail: float) -> float:
        fused = fuse_pixels(
            zero, noise, zero, target_noise, Level(1, alpha=0.0, sigma=1.0), half, detail
        )
        return float(fused.std())

    assert deviation(0.0) == pytest.approx(0.5**0.5, abs=0.02)
    assert deviation(1.0) == pytest.approx(1.0, abs=0.02)
    assert deviation(0.0) < deviation(0.9) < deviation(1.0)


def test_detail_is_left_out_along_the_border_of_the_mask() -> None:
    x0, noise, target, target_noise = map(latent, range(4))
    weight = NOWHERE.clone()
    weight[..., :8] = 0.5
    plain, detailed = (
        fuse_pixels(x0, noise, target, target_noise, LEVEL, weight, detail) for detail in (0.0, 0.9)
    )
    changed = (plain != detailed).any(1)[0].any(0)
    assert changed.tolist() == [True] * 7 + [False] * 9


def test_adain_takes_over_mean_and_deviation_of_every_channel() -> None:
    x0, like = 3 * latent(0) + 2, 0.5 * latent(1) - 1
    adjusted = adain(x0, like)
    for figure in (torch.mean, torch.std):
        assert torch.allclose(figure(adjusted, (-2, -1)), figure(like, (-2, -1)), atol=1e-3)
    assert torch.allclose(adain(like, like), like, atol=1e-5)
    assert adain(torch.zeros(SHAPE), like).isfinite().all()


def displaced(x: float, y: float) -> Tensor:
    return torch.tensor([x, y])[:, None, None].expand(2, 12, 16)


def test_shape_fusion_moves_the_reference_by_whole_cells() -> None:
    """Equation 7: what is at p + displacement in the reference is at p here, never mixed."""
    x0, reference = latent(0), latent(1)
    fused = fuse_shape(x0, reference, displaced(2, -1), NOWHERE)
    assert torch.equal(fused[..., 1:, :14], reference[..., :-1, 2:])
    assert torch.equal(fuse_shape(x0, reference, displaced(2, -1), EVERYWHERE), x0)


def test_shapes_that_whole_cells_put_beside_their_place_count_less() -> None:
    x0, reference = latent(0), latent(1)
    fused = fuse_shape(x0, reference, displaced(1.75, -1.25), NOWHERE)
    expected = 0.75 * x0[..., 1:, :14] + 0.25 * reference[..., :-1, 2:]
    assert torch.allclose(fused[..., 1:, :14], expected)
    assert torch.equal(fuse_shape(x0, reference, displaced(1.5, 0), NOWHERE), x0)


def test_a_latent_cell_counts_only_where_all_its_pixels_do() -> None:
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., 9, 23] = 0.4
    assert mask_of_cells(mask, 8).flatten().tolist() == pytest.approx([0] * 6 + [0.4] + [0] * 5)


def test_flow_is_measured_in_latent_cells() -> None:
    flow = torch.full((2, 24, 32), 12.0)
    assert torch.equal(displacement_of_cells(flow, 8), torch.full((2, 3, 4), 1.5))


def test_the_anchor_lies_above_the_previous_key_frame_and_that_above_the_rough_picture() -> None:
    """Equation 10."""

    def picture(gray: float) -> Tensor:
        return torch.full((1, 3, 8, 8), gray)

    def hidden_outside(visible: slice) -> Tensor:
        occlusion = torch.ones(1, 1, 8, 8)
        occlusion[..., visible] = 0
        return occlusion

    anchor, previous, rough = picture(0.9), picture(0.5), picture(0.1)
    occlusions = [hidden_outside(slice(0, 4)), hidden_outside(slice(2, 6))]
    fused, mask = overlay(rough, [anchor, previous], occlusions)
    assert fused[0, 0, 0].tolist() == pytest.approx([0.9] * 4 + [0.5] * 2 + [0.1] * 2)
    assert mask[0, 0, 0].tolist() == [0.0] * 6 + [1.0] * 2
