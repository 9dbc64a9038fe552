"""Which times of its training a model is asked at."""

from engine.errors import InvalidValueError

_CONSISTENCY_STEPS = 50


def sampled_times(steps: int, run: int, trained: int) -> tuple[int, ...]:
    """The t of the last `run` of `steps` even ones, falling, of a model that knows `trained`."""
    spacing = trained // steps
    times = [min(step * spacing + 1, trained - 1) for step in range(steps)]
    return tuple(times[:run][::-1])


def consistency_times(steps: int, run: int, trained: int) -> tuple[int, ...]:
    """The t of the last `run` of `steps` of a latent consistency model: some of the 50 that it was
    distilled with.

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
    return tuple(times[steps - run :])
