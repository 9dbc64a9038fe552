"""How the kernels are told what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SynthesisParameters:
    """How patches are searched and voted."""

    guide_weights: tuple[float, ...]
    """Of each guide channel, 0 or more; the style weighs 1/3 a channel."""
    position_weight: float = 2.0
    """Of the position guide, 0 or more: what it costs to leave the flow."""
    patch_size: int = 5
    """Side of a patch in pixels, odd, 3 to 15."""
    uniformity: float = 3500.0
    """What a patch costs whose pixels are used once per fair share; 0 or more."""
    search_vote_iterations: int = 16
    """Per level of the pyramid, 1 to 100; a level that settles earlier ends earlier."""
    stop_threshold: int = 7
    """Of 255: a pixel is settled where a vote changes the channels of its style by less, together;
    1 to 255."""
    seed: int = 0
    """Of the random candidates, 0 to 2**32 - 1."""
