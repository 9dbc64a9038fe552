"""FreeU (Si et al. 2024): what the deep layers of the decoder say counts more."""

from typing import Any

_BACKBONE = (1.5, 1.6)
"""b1, b2: what half of the channels of the two deepest blocks are multiplied by."""
_SKIP = (0.9, 0.2)
"""s1, s2: what the low frequencies that the encoder hands over to them are multiplied by."""


def use_freeu(unet: Any, *, on: bool) -> None:
    """Switches FreeU on or off, with the values that its authors give for Stable Diffusion 1.5."""
    if on:
        unet.enable_freeu(b1=_BACKBONE[0], b2=_BACKBONE[1], s1=_SKIP[0], s2=_SKIP[1])
    else:
        unet.disable_freeu()
