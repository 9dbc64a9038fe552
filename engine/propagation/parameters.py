"""The patch search as the settings ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.native.parameters import SynthesisParameters
from engine.settings import PropagationSettings


@dataclass(frozen=True)
class Quality:
    """How long patches are searched; docs/benchmarks.md says what that brings."""

    search_vote_iterations: int
    stop_threshold: int


QUALITIES: Mapping[str, Quality] = MappingProxyType(
    {
        "draft": Quality(search_vote_iterations=4, stop_threshold=12),
        "standard": Quality(search_vote_iterations=16, stop_threshold=7),
        "best": Quality(search_vote_iterations=40, stop_threshold=1),
    }
)

_PLANES = 3
"""Of the colour, the edge and the temporal guide, in this order."""


def synthesis_parameters(settings: PropagationSettings) -> SynthesisParameters:
    """A guide's weight is shared by its planes."""
    quality = QUALITIES[settings.quality]
    weights = (settings.color_weight, settings.edge_weight, settings.temporal_weight)
    return SynthesisParameters(
        guide_weights=tuple(weight / _PLANES for weight in weights for _ in range(_PLANES)),
        position_weight=settings.position_weight,
        patch_size=settings.patch_size,
        uniformity=settings.uniformity,
        search_vote_iterations=quality.search_vote_iterations,
        stop_threshold=quality.stop_threshold,
    )
