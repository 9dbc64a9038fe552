"""Frames and pixels of the timeline."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

from panel.model.timecode import nominal_rate

MOST_PIXELS_PER_FRAME = 160.0


@dataclass(frozen=True)
class TimeScale:
    """Which part of a clip a lane of `width` pixels shows; a frame covers one cell of it."""

    first: int
    last: int
    width: float
    start: float
    """The frame at the left edge."""
    pixels_per_frame: float

    @classmethod
    def fitting(cls, first: int, last: int, width: float) -> "TimeScale":
        """The whole clip."""
        usable = max(width, 1.0)
        return cls(first, last, usable, float(first), usable / (last - first + 1))

    def x_of(self, frame: float) -> float:
        """The left edge of the frame's cell."""
        return (frame - self.start) * self.pixels_per_frame

    def centre_of(self, frame: int) -> float:
        return self.x_of(frame + 0.5)

    def frame_at(self, x: float) -> int:
        """The frame under `x`, inside the clip."""
        frame = floor(self.start + x / self.pixels_per_frame)
        return min(max(frame, self.first), self.last)

    @property
    def visible(self) -> tuple[int, int]:
        """The first and the last frame that can be seen."""
        return self.frame_at(0), self.frame_at(self.width - 1e-6)

    def zoomed(self, x: float, factor: float) -> "TimeScale":
        """The frame under `x` stays where it is."""
        least = self.width / (self.last - self.first + 1)
        scale = min(max(self.pixels_per_frame * factor, least), max(MOST_PIXELS_PER_FRAME, least))
        anchor = self.start + x / self.pixels_per_frame
        return replace(self, pixels_per_frame=scale, start=anchor - x / scale)._inside()

    def scrolled(self, pixels: float) -> "TimeScale":
        return replace(self, start=self.start + pixels / self.pixels_per_frame)._inside()

    def showing(self, frame: int) -> "TimeScale":
        """Scrolled as far as needed to see the frame."""
        if self.x_of(frame) < 0:
            return replace(self, start=float(frame))._inside()
        if self.x_of(frame + 1) > self.width:
            return replace(self, start=frame + 1 - self.width / self.pixels_per_frame)._inside()
        return self

    def resized(self, width: float) -> "TimeScale":
        """Another width: a scale that showed the whole clip still does."""
        whole = TimeScale.fitting(self.first, self.last, width)
        shown = TimeScale.fitting(self.first, self.last, self.width)
        if self.pixels_per_frame <= shown.pixels_per_frame * 1.001:
            return whole
        scale = max(self.pixels_per_frame, whole.pixels_per_frame)
        return replace(self, width=whole.width, pixels_per_frame=scale)._inside()

    def _inside(self) -> "TimeScale":
        latest = self.last + 1 - self.width / self.pixels_per_frame
        return replace(self, start=max(min(self.start, latest), float(self.first)))


def tick_step(pixels_per_frame: float, rate: Fraction, least_pixels: float) -> int:
    """Frames between two ticks of the ruler: a whole part of a second, or seconds."""
    second = nominal_rate(rate)
    frames = [step for step in range(1, second) if second % step == 0]
    seconds = [second * step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)]
    steps = [*frames, *seconds]
    return next((step for step in steps if step * pixels_per_frame >= least_pixels), steps[-1])
