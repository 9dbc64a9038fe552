"""What describes a network that estimates optical flow: how it is built and asked, and where its
weights come from. torch is imported when it is built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Tell = Callable[[str], None]
"""Takes a sentence for the editor."""


@dataclass(frozen=True)
class HubWeights:
    """Weights that the network's package fetches itself."""

    name: str
    fetch: Callable[[Tell], Mapping[str, "Tensor"]]
    """Raises ModelUnavailableError where they are neither here nor to be had."""


@dataclass(frozen=True)
class FlowNetwork:
    """A network, as far as estimating flow with it goes."""

    name: str
    """The estimator's, as in settings."""
    packages: tuple[str, ...]
    """What it is made with."""
    multiple: int
    """Of which both sides of its pictures must be, in pixels."""
    smallest_side: int
    """In pixels."""
    weights: str
    """What its weights file must hold, for messages, with an example."""
    build: Callable[[], "Module"]
    """The network with any weights."""
    infer: Callable[["Module", "Tensor", "Tensor"], "Tensor"]
    """The flow [1, 2, H, W] from the first to the second picture, each [1, 3, H, W] in 0..1."""
    hub_weights: HubWeights | None = None
    """What it takes where no file is named."""
