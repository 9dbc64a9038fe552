"""What denoisers saw of references, as long as there is memory for it."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.translation.execution import Execution, spare_host_bytes

_CARD_RESERVE = 1 << 30
"""Bytes of the card that other calls may still ask for."""


@dataclass(frozen=True)
class Seen:
    """What the network makes of a reference at one level of noise, under plain self-attention."""

    features: Tensor
    """Keys and values of the layers with cross-frame attention, flat."""
    x0: Tensor
    """[1, C, h, w]."""


class FeatureMemory:
    """What was seen of references, as long as there is memory: on the card, then in main memory.

    Under one recipe, what is seen is a function of the reference's name and of the level's time, so
    that it makes no difference for the bits of a painting whether it was kept or is computed again.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._kept: dict[tuple[str, float], Seen] = {}
        self._uses_card = True

    def forget(self) -> None:
        """Before another recipe."""
        self._kept, self._uses_card = {}, True

    def recall(self, name: str, time: float) -> Seen | None:
        return self._kept.get((name, time))

    def keep(self, name: str, time: float, seen: Seen) -> None:
        size = seen.features.nbytes
        fits_card = size < self._execution.free_bytes() - _CARD_RESERVE
        if seen.features.is_cuda and self._uses_card and fits_card:
            self._kept[name, time] = seen
        elif size < spare_host_bytes():
            self._kept[name, time] = Seen(_in_main_memory(seen.features), seen.x0)

    def leave_the_card(self) -> None:
        """Where calls need its memory: until `forget`, main memory has to do."""
        self._uses_card = False
        kept, self._kept = self._kept, {}
        for (name, time), seen in kept.items():
            self.keep(name, time, seen)

    def forget_all_but(self, names: Collection[str]) -> None:
        self._kept = {key: seen for key, seen in self._kept.items() if key[0] in names}


def _in_main_memory(features: Tensor) -> Tensor:
    if not features.is_cuda:
        return features
    return torch.empty_like(features, device="cpu", pin_memory=True).copy_(
        features, non_blocking=True
    )
