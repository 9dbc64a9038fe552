"""Tells watchers that something changed. They then look for themselves, so that a slow one misses
steps in between and never holds up the others.
"""

import threading
from enum import Enum


class Topic(Enum):
    SESSION = "session"
    FRAMES = "frames"
    JOBS = "jobs"
    PREVIEWS = "previews"


class Changes:
    """Counts the changes of each session by topic."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._stamp = 0
        self._stamps: dict[tuple[str, Topic], int] = {}
        self._closed = False

    def tell(self, session_id: str, *topics: Topic) -> None:
        with self._condition:
            self._stamp += 1
            self._stamps |= {(session_id, topic): self._stamp for topic in topics}
            self._condition.notify_all()

    def wake(self) -> None:
        """Lets all who wait look around."""
        with self._condition:
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def now(self) -> int:
        with self._condition:
            return self._stamp

    def wait(self, session_id: str, since: int, timeout_seconds: float) -> tuple[set[Topic], int]:
        """The topics that changed after `since`, none when woken or late, and the time of it."""
        with self._condition:
            changed = self._changed(session_id, since)
            if not changed and not self._closed:
                self._condition.wait(timeout_seconds)
                changed = self._changed(session_id, since)
            return changed, self._stamp

    def _changed(self, session_id: str, since: int) -> set[Topic]:
        return {topic for topic in Topic if self._stamps.get((session_id, topic), 0) > since}
