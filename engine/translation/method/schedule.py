"""Which steps are sampled, and which constraints of section 4.1 act in which of them."""

from dataclasses import dataclass
from math import ceil

from engine.errors import InvalidValueError
from engine.settings import TranslationSettings

_CONSISTENCY_STEPS = 50
_SHAPE_FUSION_ENDS = 0.5
"""Of all steps from pure noise on: later, what is mixed in the latent space blurs (4.1.2)."""


@dataclass(frozen=True)
class Schedule:
    """The steps of one key frame, and the windows of its constraints: ranges of steps."""

    times: tuple[int, ...]
    """The t of the steps that are run, falling."""
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
        return range(len(self.times))


def schedule_of(
    settings: TranslationSettings, trained: int, *, against_others: bool = True
) -> Schedule:
    """The schedule of a model that knows `trained` times.

    Ts, Tp0, Tp1 and Ta are shares of the steps that are run: of n, step i is in a window from a to
    b where a*n <= i < b*n. Without others to be painted against there is nothing to constrain.
    """
    times_of = consistency_times if settings.sampler == "lcm" else sampled_times
    times = times_of(settings.steps, settings.strength, trained)
    controls = tuple(
        _window(control.begin, control.end, len(times)) for control in settings.controls
    )
    if not against_others:
        return Schedule(times, controls=controls)
    early = max(0, len(times) - int(_SHAPE_FUSION_ENDS * settings.steps))
    shape = _window(0, settings.shape_fusion_end, len(times))
    pixel = _window(settings.pixel_fusion_begin, settings.pixel_fusion_end, len(times))
    color = _window(settings.adain_begin, 1, len(times))
    return Schedule(
        times,
        shape[:early] if settings.shape_fusion else range(0),
        pixel if settings.pixel_fusion else range(0),
        color if settings.adain else range(0),
        controls,
    )


def sampled_times(steps: int, strength: float, trained: int) -> tuple[int, ...]:
    """The t of the steps that are run, falling: the last `strength` of `steps` even ones."""
    spacing = trained // steps
    times = [min(step * spacing + 1, trained - 1) for step in range(steps)]
    return tuple(times[: round(strength * steps)][::-1])


def consistency_times(steps: int, strength: float, trained: int) -> tuple[int, ...]:
    """The t of the steps of a latent consistency model: some of the 50 that it was distilled with,
    of which the last `strength` are run.

    Raises InvalidValueError for more steps than it knows.
    """
    if steps > _CONSISTENCY_STEPS:
        raise InvalidValueError(
            f"steps is {steps}: the LCM sampler takes at most {_CONSISTENCY_STEPS}, and 4 to 8 are "
            "enough for it."
        )
    spacing = trained // _CONSISTENCY_STEPS
    times = [
        (_CONSISTENCY_STEPS - step * _CONSISTENCY_STEPS // steps) * spacing - 1
        for step in range(steps)
    ]
    return tuple(times[steps - round(strength * steps) :])


def _window(begin: float, end: float, steps: int) -> range:
    return range(_first_step(begin, steps), _first_step(end, steps))


def _first_step(share: float, steps: int) -> int:
    """Rounded first, so that 0.8 of 15 steps are 12 whatever the last bit says."""
    return ceil(round(share * steps, 9))
