"""Takes as the sampler sees them: anchor and previous key frame of section 4.1."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from engine.translation.execution import Execution, spare_host_bytes
from engine.translation.painter import Reference, Trajectory

_CARD_RESERVE = 1 << 30
"""Bytes of the card that other calls may still ask for."""


@dataclass(frozen=True)
class ReferenceLatents:
    """The latents of one take."""

    x: Mapping[int, Tensor]
    """x_t by t, [1, C, h, w], for every step that is run."""
    x0: Tensor | None = None
    """Its x0 [1, C, h, w] where it is known; otherwise the network predicts it from each x_t."""


@dataclass(frozen=True)
class Seen:
    """What the network makes of a reference at one time, under plain self-attention."""

    features: Tensor
    """Keys and values of the layers with cross-frame attention, flat."""
    x0: Tensor
    """[1, C, h, w]."""


class FeatureMemory:
    """What was seen of references, as long as there is memory: on the card, then in main memory.

    Under one recipe, what is seen is a function of the reference's name and the time, so that it
    makes no difference for the bits of a painting whether it was kept or is computed again.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._kept: dict[tuple[str, int], Seen] = {}
        self._uses_card = True

    def forget(self) -> None:
        """Before another recipe."""
        self._kept, self._uses_card = {}, True

    def recall(self, name: str, t: int) -> Seen | None:
        return self._kept.get((name, t))

    def keep(self, name: str, t: int, seen: Seen) -> None:
        size = seen.features.nbytes
        fits_card = size < self._execution.free_bytes() - _CARD_RESERVE
        if seen.features.is_cuda and self._uses_card and fits_card:
            self._kept[name, t] = seen
        elif size < spare_host_bytes():
            self._kept[name, t] = Seen(_in_main_memory(seen.features), seen.x0)

    def leave_the_card(self) -> None:
        """Where calls need its memory: until `forget`, main memory has to do."""
        self._uses_card = False
        kept, self._kept = self._kept, {}
        for (name, t), seen in kept.items():
            self.keep(name, t, seen)

    def forget_all_but(self, names: Collection[str]) -> None:
        self._kept = {key: seen for key, seen in self._kept.items() if key[0] in names}


def _in_main_memory(features: Tensor) -> Tensor:
    if not features.is_cuda:
        return features
    return torch.empty_like(features, device="cpu", pin_memory=True).copy_(
        features, non_blocking=True
    )


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
    times: Sequence[int],
    like: Tensor,
    upload: Callable[[Tensor], Tensor],
) -> ReferenceLatents | None:
    """A take on the way it came; None where this model did not go that way through these times."""
    if trajectory is None or trajectory.model != model or not set(times) <= set(trajectory.times):
        return None
    if trajectory.latents.shape[1:] != like.shape[1:]:
        return None
    latents = upload(torch.from_numpy(trajectory.latents)).to(like)
    row_of = {t: row for row, t in enumerate(trajectory.times)}
    return ReferenceLatents({t: latents[row_of[t]][None] for t in times})


def encoded(
    x0: Tensor, times: Sequence[int], noised: Callable[[Tensor, int], Tensor]
) -> ReferenceLatents:
    """A picture of any origin, by its encoding x0, noised to every time (Eq. 2)."""
    return ReferenceLatents({t: noised(x0, t) for t in times}, x0)
