"""What section 4.1 asks of a model, and all that it knows of one.

To add a model family, implement `Denoiser`; CONTRIBUTING.md names the files.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from engine.settings import TranslationSettings
from engine.translation.feature_memory import FeatureMemory
from engine.translation.method.level import Level
from engine.translation.method.schedule import Schedule
from engine.translation.painter import Reference, View

Conditions: TypeAlias = Any
"""What a model made of a frame and its settings; only the model looks inside."""


class Denoiser(Protocol):
    """A model that tells a picture from the noise in it. Latents are [1, C, h, w], float32."""

    @property
    def identity(self) -> str:
        """Identifies the model that made the latents: to another one they mean nothing."""

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which it computes, and in which a trajectory is kept."""

    @property
    def multiple(self) -> int:
        """Both sides of a picture must be multiples of this; pictures are padded to it."""

    @property
    def cell(self) -> int:
        """Pixels to a side of a latent cell, which divides `multiple`."""

    @property
    def channels(self) -> int:
        """Of a latent."""

    @property
    def levels_at_once(self) -> int:
        """How many levels of a reference one call of `see` takes."""

    @property
    def memory(self) -> FeatureMemory:
        """What was seen of references. The method asks it; the model decides where it lies."""

    def begin(self, recipe: str, settings: TranslationSettings) -> None:
        """Before a painting: gives the networks the form that the settings ask for, and forgets
        what was worked out under another recipe.
        """

    def levels(self, settings: TranslationSettings) -> Sequence[Level]:
        """The levels of the steps that are run, noisiest first: the last `strength` of `steps`.

        Raises InvalidValueError for steps that the model does not take.
        """

    def encode(self, pixels: Tensor) -> Tensor:
        """The most likely latent of a picture [1, 3, H, W], -1..1."""

    def decode(self, latent: Tensor) -> Tensor:
        """The picture [1, 3, H, W], -1..1, of a latent."""

    def conditions(
        self,
        settings: TranslationSettings,
        view: View,
        schedule: Schedule,
        references: Sequence[Reference] = (),
    ) -> Conditions:
        """All that a prediction depends on besides the latent, made once for all steps of a frame.

        `references` are the pictures that the frame is painted against, for a model that looks at
        pictures; none are given where a reference itself is seen.
        """

    def predict(
        self, x: Tensor, level: Level, conditions: Conditions, seen: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        """The x0 and the noise of which x is made (Eq. 4).

        The frame looks at what was seen of others, where it is given; otherwise at itself.
        """

    def see(
        self, x: Tensor, levels: Sequence[Level], conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """The x0 [n, C, h, w] of a frame at n levels, of which `x` [n, C, h, w] are its latents,
        and what others look at [n, F]: keys and values (4.1.1), or tokens of a reference.
        """

    def size_that_fits(self, width: int, height: int) -> str:
        """About the largest size of that shape for which there is memory; empty where unknown."""

    def free_memory(self) -> None:
        """Lets go of all but the networks."""
