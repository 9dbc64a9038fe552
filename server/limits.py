"""What a person may set for a server: by an option, or by a variable, whoever starts it."""

import os

from engine.errors import InvalidValueError

IDLE_VARIABLE = "INBETWEEN_IDLE_MINUTES"
IDLE_MINUTES = 15.0
"""After which a server in the background ends when nobody uses it."""

BUDGET_VARIABLE = "INBETWEEN_BUDGET_GIB"
BUDGET_GIB = 50.0
"""Of pictures that can be made again."""

GIB = 1 << 30

MOST = 1_000_000
"""Of minutes (two years) and of GiB: far beyond any use, and well within what clocks and messages
can hold.
"""
IDLE_RANGE = f"minutes from 0 to {MOST}; 0 is never"
BUDGET_RANGE = f"GiB from 0 to {MOST}"


def idle_minutes(default: float, option: float | None = None) -> float:
    """After how many minutes without use a server ends; 0: never. Raises InvalidValueError."""
    if option is not None:
        return _checked("--idle-minutes", option, IDLE_RANGE)
    return _of_environment(IDLE_VARIABLE, default, IDLE_RANGE)


def budget_gib(option: float | None = None) -> float:
    """How much is kept of pictures that can be made again. Raises InvalidValueError."""
    if option is not None:
        return _checked("--budget", option, BUDGET_RANGE)
    return _of_environment(BUDGET_VARIABLE, BUDGET_GIB, BUDGET_RANGE)


def _of_environment(variable: str, default: float, allowed: str) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        return _checked(variable, float(text), allowed)
    except ValueError:
        return _checked(variable, text, allowed)


def _checked(name: str, number: float | str, allowed: str) -> float:
    if isinstance(number, str) or not 0 <= number <= MOST:
        raise InvalidValueError(f"{name} is {number!a}: choose a number of {allowed}.")
    return number
