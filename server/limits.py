"""What a person may set for every server, whoever starts it: by a variable of the environment."""

import math
import os

from engine.errors import InvalidValueError

IDLE_VARIABLE = "INBETWEEN_IDLE_MINUTES"
IDLE_MINUTES = 15.0
"""After which a server in the background ends when nobody uses it."""

BUDGET_VARIABLE = "INBETWEEN_BUDGET_GIB"
BUDGET_GIB = 50.0
"""Of pictures that can be made again."""

GIB = 1 << 30


def idle_minutes(default: float) -> float:
    """After how many minutes without use a server ends; 0: never. Raises InvalidValueError."""
    return _number(IDLE_VARIABLE, default, "minutes from 0, which is never")


def budget_gib() -> float:
    """How much is kept of pictures that can be made again. Raises InvalidValueError."""
    return _number(BUDGET_VARIABLE, BUDGET_GIB, "GiB from 0")


def _number(variable: str, default: float, allowed: str) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise InvalidValueError(f"{variable} is {text!a}: set it to a number of {allowed}.")
    return number
