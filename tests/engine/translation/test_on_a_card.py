"""What only a graphics card can show; skipped without one."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import group_norm, silu

from engine.errors import OutOfMemoryError
from engine.graphics_card import can_build_kernels
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
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
def test_group_norm_in_one_kernel_agrees_with_that_of_torch(
    shape: tuple[int, int, int, int], shifted: bool
) -> None:
    from engine.translation.fused import _normalized

    generator = torch.Generator("cuda").manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(size, device="cuda", generator=generator).half()

    x = (3 * random(*shape) + 1).contiguous(memory_format=torch.channels_last)
    norm = nn.GroupNorm(32, shape[1], 1e-5).cuda().half()
    bias, added = (random(shape[1]), random(*shape[:2])) if shifted else (None, None)
    moved = x.double()
    if bias is not None and added is not None:
        moved = moved + bias.double()[:, None, None] + added.double()[:, :, None, None]
    wanted = silu(group_norm(moved, 32, norm.weight.double(), norm.bias.double(), 1e-5))
    found = _normalized(norm, x, bias, added, active=True).double()
    assert float((found - wanted).norm() / wanted.norm()) < 1e-3


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
