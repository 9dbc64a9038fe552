"""How long a test waits for what is to come: on a busy machine, much longer than on a quiet one."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 600.0
"""Only ever ends what hangs; pytest's own limit for a whole test lies above it."""


def wait_until(is_so: Callable[[], object]) -> None:
    """Returns once it is so."""
    gives_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < gives_up, "this never came"
        time.sleep(0.01)


def assert_ends(process: int) -> None:
    """A process comes to its end; a zombie has."""
    status = Path(f"/proc/{process}/stat")

    def has_ended() -> bool:
        try:
            return status.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_until(has_ended)
