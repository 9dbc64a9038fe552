"""What is rendered of each frame of the clip."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from inbetween.v1 import session_pb2 as pb


class FrameStates:
    """The state of every frame in one byte each: 20,000 frames are searched in microseconds."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self._states = bytearray([pb.FRAME_STATE_MISSING]) * (last - first + 1)

    def update(self, runs: Iterable[pb.FrameRun]) -> None:
        """Writes the states of `runs` over those known before."""
        for run in runs:
            first = max(run.range.first, self.first) - self.first
            last = min(run.range.last, self.last) - self.first
            if first <= last:
                self._states[first : last + 1] = bytes([run.state]) * (last - first + 1)

    def at(self, index: int) -> pb.FrameState.ValueType:
        if not self.first <= index <= self.last:
            return pb.FRAME_STATE_UNSPECIFIED
        return pb.FrameState.ValueType(self._states[index - self.first])

    def changed_from(self, before: "FrameStates") -> list[int]:
        """The frames whose state differs from `before`."""
        if (before.first, before.last) != (self.first, self.last):
            return list(range(self.first, self.last + 1))
        if before._states == self._states:
            return []
        pairs = enumerate(zip(before._states, self._states, strict=True), self.first)
        return [index for index, (old, new) in pairs if old != new]

    def copy(self) -> "FrameStates":
        twin = FrameStates(self.first, self.last)
        twin._states[:] = self._states
        return twin

    def count(self, state: pb.FrameState.ValueType) -> int:
        return self._states.count(state)

    def nearest(self, index: int, state: pb.FrameState.ValueType) -> int | None:
        """The frame in `state` that is nearest to `index`, the earlier one of two."""
        offset = min(max(index, self.first), self.last) - self.first
        before = self._states.rfind(state, 0, offset + 1)
        after = self._states.find(state, offset)
        found = [position for position in (before, after) if position >= 0]
        if not found:
            return None
        return self.first + min(found, key=lambda position: abs(position - offset))

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int, pb.FrameState.ValueType]]:
        """Neighbouring frames in the same state from `first` to `last`: first, last, state."""
        start = max(first, self.first)
        part = self._states[start - self.first : max(0, last - self.first + 1)]
        for state, group in groupby(part):
            length = len(list(group))
            yield start, start + length - 1, pb.FrameState.ValueType(state)
            start += length
