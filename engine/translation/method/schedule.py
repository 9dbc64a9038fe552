"""Which steps are sampled, and which constraints of section 4.1 act in which of them."""

from dataclasses import dataclass
from math import ceil

from engine.settings import TranslationSettings

_SHAPE_FUSION_ENDS = 0.5
"""Of all steps from pure noise on: later, what is mixed in the latent space blurs (4.1.2)."""


@dataclass(frozen=True)
class Schedule:
    """The steps of one key frame, and the windows of its constraints: ranges of steps."""

    count: int
    """Of the steps that are run."""
    shape: range = range(0)
    """Shape-aware fusion (4.1.2), from the first step to Ts."""
    pixel: range = range(0)
    """Pixel-aware fusion (4.1.3), from Tp0 to Tp1."""
    color: range = range(0)
    """Adaptive latent adjustment (4.1.4), from Ta to the last step."""
    controls: tuple[range, ...] = ()
    """Of each ControlNet."""

    @property
    def steps(self) -> range:
        return range(self.count)


def schedule_of(settings: TranslationSettings, *, against_others: bool = True) -> Schedule:
    """The last `strength` of all `steps`, and what acts in which of them.

    Ts, Tp0, Tp1 and Ta are shares of the steps that are run: of n, step i is in a window from a to
    b where a*n <= i < b*n. Without others to be painted against there is nothing to constrain.
    """
    count = round(settings.strength * settings.steps)
    controls = tuple(_window(control.begin, control.end, count) for control in settings.controls)
    if not against_others:
        return Schedule(count, controls=controls)
    early = max(0, count - int(_SHAPE_FUSION_ENDS * settings.steps))
    shape = _window(0, settings.shape_fusion_end, count)
    pixel = _window(settings.pixel_fusion_begin, settings.pixel_fusion_end, count)
    color = _window(settings.adain_begin, 1, count)
    return Schedule(
        count,
        shape[:early] if settings.shape_fusion else range(0),
        pixel if settings.pixel_fusion else range(0),
        color if settings.adain else range(0),
        controls,
    )


def _window(begin: float, end: float, steps: int) -> range:
    return range(_first_step(begin, steps), _first_step(end, steps))


def _first_step(share: float, steps: int) -> int:
    """Rounded first, so that 0.8 of 15 steps are 12 whatever the last bit says."""
    return ceil(round(share * steps, 9))
