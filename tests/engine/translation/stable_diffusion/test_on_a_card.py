"""What only a graphics card can show; skipped without one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import group_norm, layer_norm, silu

from engine.errors import OutOfMemoryError
from engine.graphics_card import can_build_kernels
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.execution import Graphs
from engine.translation.painter import PaintRequest

if TYPE_CHECKING:
    from tests.engine.conftest import Photo
    from tests.engine.translation.conftest import Shot

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")


@pytest.mark.skipif(not can_build_kernels(), reason="needs Triton, a C compiler, Python's headers")
@pytest.mark.parametrize(
    "shape", [(2, 320, 64, 64), (8, 960, 64, 64), (2, 1920, 9, 16), (1, 128, 512, 512)], ids=str
)
@pytest.mark.parametrize("shifted", [False, True])
def test_group_norm_by_our_kernels_agrees_with_that_of_torch(
    shape: tuple[int, int, int, int], shifted: bool
) -> None:
    from engine.translation.stable_diffusion.triton_layers import _normalized

    generator = torch.Generator("cuda").manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(size, device="cuda", generator=generator).half()

    x = (3 * random(*shape) + 1).contiguous(memory_format=torch.channels_last)
    norm = nn.GroupNorm(32, shape[1], 1e-5).cuda().half().requires_grad_(False)
    bias, added = (random(shape[1]), random(*shape[:2])) if shifted else (None, None)
    moved = x.double()
    if bias is not None and added is not None:
        moved = moved + bias.double()[:, None, None] + added.double()[:, :, None, None]
    wanted = silu(group_norm(moved, 32, norm.weight.double(), norm.bias.double(), 1e-5))
    found = _normalized(norm, x, bias, added, active=True).double()
    assert float((found - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.skipif(not can_build_kernels(), reason="needs Triton, a C compiler, Python's headers")
@pytest.mark.parametrize("shape", [(2, 4096, 320), (8, 64, 1280), (1, 7, 48)], ids=str)
@pytest.mark.parametrize("adds", [False, True])
def test_layer_norm_in_one_kernel_agrees_with_that_of_torch(
    shape: tuple[int, int, int], adds: bool
) -> None:
    from engine.translation.stable_diffusion.triton_layers import _layer_normalized

    generator = torch.Generator("cuda").manual_seed(0)
    tokens, added = (
        3 * torch.randn(shape, device="cuda", generator=generator).half() + 1 for _ in range(2)
    )
    norm = nn.LayerNorm(shape[-1]).cuda().half().requires_grad_(False)
    norm.weight.uniform_(-1, 1, generator=generator)
    norm.bias.uniform_(-1, 1, generator=generator)
    total, found = _layer_normalized(norm, tokens, added if adds else None)
    assert torch.equal(total, tokens + added if adds else tokens)
    weights = norm.weight.double(), norm.bias.double()
    wanted = layer_norm(total.double(), shape[-1:], *weights, norm.eps)
    assert float((found.double() - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.skipif(not can_build_kernels(), reason="needs Triton, a C compiler, Python's headers")
@pytest.mark.parametrize("part", ["unet", "vae"])
def test_networks_of_our_kernels_compute_what_those_of_diffusers_do(part: str) -> None:
    """To half precision, with random weights; nothing of group norm is left to torch."""
    from engine.translation.stable_diffusion.triton_layers import fuse

    torch.manual_seed(0)
    with torch.device("cuda"):
        network, call, inputs = _network(part)
    network = network.half().to(memory_format=torch.channels_last).eval().requires_grad_(False)
    wanted = call(network.double(), *(each.double() for each in inputs))
    network.half()
    fuse(network)
    with torch.profiler.profile() as profile:
        found = call(network, *(each.half() for each in inputs))
    assert float((found.double() - wanted).norm() / wanted.norm()) < 5e-3
    norms = sum(row.count for row in profile.key_averages() if row.key == "aten::group_norm")
    # The attention in the middle of a VAE has one, once for encoding and once for decoding.
    assert norms == (2 if part == "vae" else 0)


def _network(part: str) -> tuple[Any, Callable[..., Tensor], Sequence[Tensor]]:
    if part == "vae":
        vae = AutoencoderKL(
            block_out_channels=(64, 64, 128),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=2,
        )
        return vae, lambda vae, x: vae(x).sample, [torch.randn(1, 3, 64, 96)]
    unet = UNet2DConditionModel(
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=4,
    )
    inputs = [torch.randn(2, 4, 16, 24), torch.randn(2, 77, 64)]
    return unet, lambda unet, x, text: unet(x, 500, text).sample, inputs


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("CUDA error: out of memory")], ids=repr
)
def test_what_does_not_fit_on_the_card_is_kept_elsewhere_and_the_bits_are_the_same(
    shot: "Shot",
    photo: "Photo",
    tiny_settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
    error: RuntimeError,
) -> None:
    wide = photo(64, 128)
    sources = [np.ascontiguousarray(wide[:, left : left + 64]) for left in (0, 4, 14)]
    for source in sources:
        shot.paint(source, tiny_settings)
    takes = list(shot.takes)
    del shot.takes[2:], shot.trajectories[2:], shot.sources[2:]
    shot.painter = DiffusionPainter()
    calls = count()
    graph = Graphs._graph

    def short_once(self: Graphs, *rest: Any) -> Any:
        if next(calls) == 12:
            raise error
        return graph(self, *rest)

    monkeypatch.setattr(Graphs, "_graph", short_once)
    assert np.array_equal(shot.paint(sources[2], tiny_settings), takes[2])
    loaded: Any = shot.painter._loaded
    kept = loaded.model.memory._kept.values()
    assert kept
    assert not any(seen.features.is_cuda for seen in kept)


def test_a_key_frame_painted_again_alone_has_the_same_bits_on_the_card(
    shot: "Shot", photo: "Photo", tiny_settings: TranslationSettings
) -> None:
    wide = photo(64, 128)
    sources = [np.ascontiguousarray(wide[:, left : left + 64]) for left in (0, 4, 14, 20)]
    for source in sources:
        shot.paint(source, tiny_settings)
    takes = list(shot.takes)
    del shot.takes[3:], shot.trajectories[3:], shot.sources[3:]
    shot.painter = DiffusionPainter()
    assert np.array_equal(shot.paint(sources[3], tiny_settings), takes[3])


def test_too_little_memory_names_a_size_that_fits_and_painting_goes_on(
    shot: "Shot", photo: "Photo", tiny_settings: TranslationSettings
) -> None:
    shot.paint(photo(64, 64), tiny_settings)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((1 << 30) / total)
    try:
        large = PaintRequest(1, photo(4096, 4096), replace(tiny_settings, steps=2))
        with pytest.raises(OutOfMemoryError, match=r"render the clip at \d+x\d+"):
            shot.painter.paint(large, shot.report)
        shot.paint(photo(64, 64), tiny_settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
