"""What every kind of control image offers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ModelUnavailableError
from engine.types import FloatArray

ControlImage = Callable[[FloatArray], FloatArray]
"""Makes of a source frame [H, W, 3], 0..1, what a ControlNet looks at, of the same shape."""


@contextmanager
def loading_errors(folder: Path, task: str, example: str) -> Iterator[None]:
    """What transformers raises for a folder without a network for the task, as our error."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelUnavailableError(
            f"{folder} could not be loaded as a model that {task} ({str(error).splitlines()[0]}): "
            f"choose one for transformers, such as {example}."
        ) from error
