"""What the server remembers of takes and frames."""

from dataclasses import dataclass, replace

from engine.plan import Address
from engine.types import Alpha, Drift, Frame, Precision


@dataclass(frozen=True)
class TakeRecord:
    """One painting of a frame."""

    address: Address
    frame: int
    recipe: Address
    """What it was painted with, without the takes it was painted against."""
    painter: str
    prompt: str
    seed: int
    strength: float
    painted_against: tuple[Address, ...]
    made_at: int
    """Seconds since the epoch."""
    imported: bool = False
    """Painted by hand for its frame."""
    drift: Drift | None = None
    """From the first of `painted_against`, which is its anchor."""


@dataclass(frozen=True)
class FrameKind:
    """What a picture file does not say of its pixels."""

    alpha: str
    precision: str

    @classmethod
    def of(cls, frame: Frame) -> "FrameKind":
        return cls(frame.alpha.value, frame.precision.value)

    def apply(self, frame: Frame) -> Frame:
        return replace(frame, alpha=Alpha(self.alpha), precision=Precision(self.precision))


@dataclass(frozen=True)
class HostFrame:
    """A source frame that a host sent."""

    digest: str
    """Of its pixels."""
    host_digest: str
    """The host's own."""
    kind: FrameKind


@dataclass(frozen=True)
class DeliveredFrame:
    """What the finished sequence holds at a frame."""

    address: Address
    color_space: str
    kind: FrameKind
