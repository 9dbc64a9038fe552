"""Takes as the sampler sees them: anchor and previous key frame of section 4.1."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from engine.translation.method.level import Level
from engine.translation.painter import Reference, Trajectory


@dataclass(frozen=True)
class ReferenceLatents:
    """The latents of one take."""

    x: Mapping[float, Tensor]
    """Noised, [1, C, h, w], by the time of every level of the steps that are run."""
    x0: Tensor | None = None
    """Its x0 [1, C, h, w] where it is known; otherwise the network predicts it from each x_t."""


def name_of(reference: Reference) -> str:
    """Stands for all that decides what is seen of a reference, besides the recipe."""
    digest = sha256(str(reference.source.shape).encode())
    for picture in (reference.source, reference.take, reference.control_picture):
        digest.update(b"" if picture is None else np.ascontiguousarray(picture).data)
    if reference.trajectory is not None:
        digest.update(reference.trajectory.model.encode())
        digest.update(np.ascontiguousarray(reference.trajectory.latents).data)
    return digest.hexdigest()


def retraced(
    trajectory: Trajectory | None,
    model: str,
    levels: Sequence[Level],
    like: Tensor,
    upload: Callable[[Tensor], Tensor],
) -> ReferenceLatents | None:
    """A take on the way it came; None where this model did not go that way through these levels."""
    times = [level.time for level in levels]
    if trajectory is None or trajectory.model != model or not set(times) <= set(trajectory.times):
        return None
    if trajectory.latents.shape[1:] != like.shape[1:]:
        return None
    latents = upload(torch.from_numpy(trajectory.latents)).to(like)
    row_of = {t: row for row, t in enumerate(trajectory.times)}
    return ReferenceLatents({t: latents[row_of[t]][None] for t in times})


def encoded(x0: Tensor, levels: Sequence[Level], noise: Tensor) -> ReferenceLatents:
    """A picture of any origin, by its encoding x0, noised to every level (Eq. 2)."""
    return ReferenceLatents({level.time: level.noised(x0, noise) for level in levels}, x0)
