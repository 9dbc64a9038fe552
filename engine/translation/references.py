"""Takes as the sampler sees them: anchor and previous key frame of section 4.1."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.translation.painter import Trajectory


@dataclass(frozen=True)
class ReferenceLatents:
    """The latents of one take."""

    x: Mapping[int, Tensor]
    """x_t by t, [1, C, h, w], for every step that is run."""
    x0: Tensor | None = None
    """Its x0 [1, C, h, w] where it is known; otherwise the network predicts it from each x_t."""


def retraced(
    trajectory: Trajectory | None, model: str, times: Sequence[int], like: Tensor
) -> ReferenceLatents | None:
    """A take on the way it came; None where this model did not go that way through these times."""
    if trajectory is None or trajectory.model != model or not set(times) <= set(trajectory.times):
        return None
    latents = torch.from_numpy(trajectory.latents).to(like)
    if latents.shape[1:] != like.shape[1:]:
        return None
    row_of = {t: row for row, t in enumerate(trajectory.times)}
    return ReferenceLatents({t: latents[row_of[t]][None] for t in times})


def encoded(
    x0: Tensor, times: Sequence[int], noised: Callable[[Tensor, int], Tensor]
) -> ReferenceLatents:
    """A picture of any origin, by its encoding x0, noised to every time (Eq. 2)."""
    return ReferenceLatents({t: noised(x0, t) for t in times}, x0)
