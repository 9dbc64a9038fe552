"""The source frames of a session: a file that the server reads, or what a host has sent so far."""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from engine.media.source import FrameSource
from engine.types import Clip, Frame, FrameRange
from server.database import Database
from server.pictures import check_size
from server.planning import needed_for
from server.records import HostFrame
from server.session_folder import SessionFolder
from server.state import SessionState
from server.work.tasks import HostFrames, MediaFile

Digests = Mapping[int, str]
"""Source frame to what identifies its pixels."""


class SourceFrames:
    """Where the clip of a session is read. The state that is handed in is the session's."""

    def __init__(
        self, session_id: str, folder: SessionFolder, database: Database, lock: threading.RLock
    ) -> None:
        """`lock` is the session's."""
        self._session_id = session_id
        self._folder = folder
        self._database = database
        self._lock = lock
        self._source: FrameSource | None = None
        self._digests: Digests | None = None
        self._sent = database.host_frames(session_id)

    @property
    def sent(self) -> Set[int]:
        """The frames that the host has sent."""
        return self._sent.keys()

    def for_worker(self, state: SessionState) -> MediaFile | HostFrames:
        """How the worker gets the frames."""
        if not state.from_host:
            return MediaFile(Path(state.clip.source))
        with self._lock:
            space = state.settings.source.color_space
            return HostFrames(self._folder, state.clip, dict(self._sent), space)

    def opened(self, state: SessionState) -> FrameSource:
        """Open until another state or file wants it otherwise. Raises as `digests`."""
        with self._lock:
            if self._source is None:
                self._source = self.for_worker(state).open()
            return self._source

    def digests(self, state: SessionState) -> Digests:
        """Raises NotFoundError or UnreadableMediaError where the clip's file is gone."""
        with self._lock:
            if self._digests is None:
                with closing(self.for_worker(state).open()) as source:
                    self._digests = digests_of(source, self._present(state))
            return self._digests

    def look(self, state: SessionState) -> tuple[Clip, Digests]:
        """The clip's file as it is now. Raises as `digests`."""
        with closing(self.for_worker(state).open()) as source:
            clip = replace(source.clip, source=state.clip.source)
            check_size(clip.size)
            return clip, digests_of(source, clip.frame_range.indices)

    def knows(self, digests: Digests) -> bool:
        return digests == self._digests

    def take_over(self, digests: Digests) -> None:
        """The clip's file is another one by now, with these digests."""
        with self._lock:
            self.close()
            self._digests = digests

    def missing(self, state: SessionState, frames: FrameRange) -> list[int]:
        """The frames that rendering `frames` needs and the host has not sent."""
        needed = needed_for(state, frames) if state.from_host else None
        if needed is None:
            return []
        with self._lock:
            return [index for index in needed.indices if index not in self._sent]

    def save(self, frame: Frame, described: HostFrame) -> bool:
        """Writes the file of a frame that the host has sent; whether its pixels are news."""
        known = self._sent.get(frame.index)
        if known is not None and known.digest == described.digest:
            return False
        self._database.forget_host_frame(self._session_id, frame.index)
        self._folder.save_source(frame)
        return True

    def enter(self, index: int, described: HostFrame) -> None:
        """Enters a frame, whose file is there, in the books."""
        with self._lock:
            self._database.save_host_frame(self._session_id, index, described)
            self._sent[index] = described

    def has_other(self, index: int, host_digest: str) -> bool:
        """Whether the host has sent that frame, and it was another one than it is there now."""
        known = self._sent.get(index)
        return bool(host_digest) and known is not None and known.host_digest != host_digest

    def forget_sent(self) -> None:
        """The host has to send all frames again."""
        with self._lock:
            self._database.forget_host_frames(self._session_id)
            self._sent.clear()

    def close(self) -> None:
        """Lets go of the clip's file."""
        with self._lock:
            if self._source is not None:
                self._source.close()
                self._source = None

    def renew(self, state: SessionState) -> None:
        """What a host has sent is read anew: it sent more, or the state wants it otherwise."""
        if state.from_host:
            with self._lock:
                self._source = self._digests = None

    def _present(self, state: SessionState) -> Sequence[int]:
        indices = state.clip.frame_range.indices
        return sorted(self._sent.keys() & set(indices)) if state.from_host else indices


def digests_of(source: FrameSource, indices: Iterable[int]) -> Digests:
    """Those of the frames at `indices`."""
    return {index: source.digest(index) for index in indices}


def media_identity(digests: Digests) -> str:
    """What tells a clip's file from another one of its name."""
    return hashlib.blake2b(repr(sorted(digests.items())).encode(), digest_size=16).hexdigest()
