"""How the network sees a reference while a key frame is painted against it."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from engine.translation.feature_memory import Seen
from engine.translation.method.denoiser import Conditions, Denoiser
from engine.translation.method.level import Level
from engine.translation.method.references import ReferenceLatents


class ReferenceView:
    """What is seen of a reference in each step, asked of the network a few steps at a time.

    They need not be asked in order: the latent is known for all of them. Each call is of the same
    size and holds the same steps, so that its bits do not depend on what was asked before.
    """

    def __init__(
        self,
        model: Denoiser,
        name: str,
        levels: Sequence[Level],
        latents: ReferenceLatents,
        conditions: Callable[[], Conditions],
    ) -> None:
        """`conditions` are asked for only if the network is."""
        self._model = model
        self._name = name
        self._levels = levels
        self._latents = latents
        self._make_conditions = conditions
        self._latest: dict[float, Seen] = {}

    def at(self, step: int) -> Seen:
        """What is seen of it in a step."""
        time = self._levels[step].time
        seen = self._latest.get(time) or self._model.memory.recall(self._name, time)
        if seen is None:
            self._latest = {}
            self._latest = self._asked(step)
            for asked, each in self._latest.items():
                self._model.memory.keep(self._name, asked, each)
            seen = self._latest[time]
        return seen

    @cached_property
    def _conditions(self) -> Conditions:
        return self._make_conditions()

    def _asked(self, step: int) -> dict[float, Seen]:
        """By time, for the group of steps of which `step` is one; the last group is filled up."""
        size = self._model.levels_at_once
        begin = step - step % size
        group = list(self._levels[begin : begin + size])
        filled = group + group[-1:] * (size - len(group))
        x = torch.cat([self._latents.x[level.time] for level in filled])
        x0, features = self._model.see(x, filled, self._conditions)
        known = self._latents.x0
        return {
            level.time: Seen(features[row], x0[row : row + 1] if known is None else known)
            for row, level in enumerate(group)
        }
