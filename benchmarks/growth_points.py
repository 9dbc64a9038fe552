"""What the growth of time is told in, and the floors that a card sets to it."""

from dataclasses import dataclass

from engine.types import FrameSize

FLOORS = {"512x512": 0.0033, "1920x1080": 0.040}
"""Seconds on one H100 for the work of the paper's settings, by its L1 and L2 caches; arithmetic."""
FLOORS_OF_SHARED_SHIFTS = {"512x512": 0.001, "1920x1080": 0.005}
"""The same where a tile tries its shifts together, as box sums."""


@dataclass(frozen=True)
class GrowthPoint:
    """One time; what does not grow here is as in the other points of its kind."""

    benchmark: str
    grows: str
    """pixels, threads, frames or keys"""
    device: str
    load_average: float
    size: str
    threads: int
    """0 on a graphics card."""
    frames: int
    keys: int
    seconds: float
    """Of one propagation; for frames and keys of the whole clip."""
    processor_seconds: float
    dis_seconds: float | None = None
    floor_seconds: float | None = None
    """On an H100, for the same work."""
    floor_of_shared_shifts_seconds: float | None = None

    @property
    def amount(self) -> float:
        """What grows."""
        size = FrameSize.parse(self.size)
        amounts = {"threads": self.threads, "frames": self.frames, "keys": self.keys}
        return amounts.get(self.grows, size.width * size.height)
