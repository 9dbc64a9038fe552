"""How long work takes on this machine, learnt from the work that was done."""

import threading
from collections.abc import Mapping

from engine.types import FrameSize
from server.database import Database
from server.planning import Step, kind_of_work

NEWEST_SHARE = 0.3
"""Of the newest measurement in the running mean."""


class Speeds:
    """Seconds per pixel by kind of work. Safe to use from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._seconds_per_pixel = database.speeds()

    def learn(self, step: Step, seconds: float, size: FrameSize) -> None:
        kind = kind_of_work(step)
        measured = seconds / (size.width * size.height)
        with self._lock:
            known = self._seconds_per_pixel.get(kind, measured)
            mean = (1 - NEWEST_SHARE) * known + NEWEST_SHARE * measured
            self._seconds_per_pixel[kind] = mean
        self._database.save_speed(kind, mean)

    def seconds(self, steps: Mapping[str, int], size: FrameSize) -> float:
        """What so many steps of each kind take, as far as it is known; 0 where nothing is."""
        pixels = size.width * size.height
        with self._lock:
            return pixels * sum(
                number * self._seconds_per_pixel.get(kind, 0.0) for kind, number in steps.items()
            )
