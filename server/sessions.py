"""The sessions of a server, and how a client's clip finds its own."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from inbetween.v1.render_pb2 import RenderFrameRequest
from inbetween.v1.session_pb2 import Clip as ClipMessage
from inbetween.v1.session_pb2 import OpenSessionRequest

from engine.errors import InvalidValueError, NotFoundError
from engine.media.source import open_source
from engine.settings import RenderSettings
from engine.types import Clip
from server import state as rules
from server.changes import Changes
from server.convert import host_clip_of
from server.database import Database
from server.errors import ForbiddenPathError
from server.pictures import check_size
from server.session import Session
from server.session_folder import SessionFolder, finish_deletions
from server.settings import settings_of
from server.source_frames import digests_of, media_identity
from server.state import SessionState


@dataclass(frozen=True)
class _ClipRequest:
    """A clip that a client names."""

    key: str
    """Equal for equal clips."""
    read: Callable[[], tuple[Clip, str]]
    """The clip and what identifies its file: looks into it; cheap for a host's clip."""
    application: str | None


class Sessions:
    """All sessions of a server. Safe to use from any thread."""

    def __init__(
        self, folder: Path, roots: tuple[Path, ...], database: Database, changes: Changes
    ) -> None:
        self._folder = folder
        self._roots = tuple(root.resolve() for root in roots)
        self._database = database
        self._changes = changes
        self._lock = threading.RLock()
        self._stored = {state.id: (key, state) for key, state in database.sessions()}
        finish_deletions(folder, self._stored)
        self._live: dict[str, Session] = {}

    def states(self) -> list[SessionState]:
        """Of all sessions, in the order of their making."""
        with self._lock:
            return [
                self._live[known].state if known in self._live else state
                for known, (_, state) in self._stored.items()
            ]

    def get(self, session_id: str) -> Session:
        """Raises NotFoundError."""
        with self._lock:
            if session_id not in self._stored:
                raise NotFoundError(f'There is no session "{session_id}": open the clip again.')
            if session_id not in self._live:
                key, state = self._stored[session_id]
                self._live[session_id] = self._session(state, key)
            return self._live[session_id]

    def open(self, request: OpenSessionRequest) -> Session:
        """The session of that id or of that clip; it is made where there is none."""
        if request.clip.HasField("host") and request.HasField("settings") and not request.fresh:
            return self.of_effect(request)
        settings = settings_of(request.settings) if request.HasField("settings") else None
        has_clip = request.clip.WhichOneof("source") is not None
        if request.session_id and (self._knows(request.session_id) or not has_clip):
            session = self.get(request.session_id)
        else:
            wanted = self._wanted(request.clip, settings or RenderSettings())
            session = self._find_or_make("", wanted, settings, fresh=request.fresh)
            self._look_again(session, wanted)
        session.folder.mark_used()
        if settings:
            session.edit(lambda state: rules.change_settings(state, settings))
        return session

    def of_effect(self, request: RenderFrameRequest | OpenSessionRequest) -> Session:
        """The session of an effect, with what the effect changed taken over."""
        settings = settings_of(request.settings)
        wanted = self._wanted(request.clip, settings)
        session = self._find_or_make(request.session_id, wanted, settings)
        if wanted.application is not None:
            self._look_again(session, wanted)
        session.folder.mark_used()
        session.edit(lambda state: rules.change_settings_by_effect(state, settings))
        return session

    def delete(self, session_id: str) -> Path:
        """As `Session.delete`, and nobody finds it any more. Raises NotFoundError."""
        with self._lock:
            doomed = self.get(session_id).delete()
            del self._stored[session_id], self._live[session_id]
            return doomed

    def close(self) -> None:
        """Lets go of the clips' files."""
        with self._lock:
            for session in self._live.values():
                session.close()

    def _knows(self, session_id: str) -> bool:
        with self._lock:
            return session_id in self._stored

    def _find(self, session_id: str, clip_key: str) -> Session | None:
        with self._lock:
            if session_id in self._stored:
                return self.get(session_id)
            matching = [known for known, (key, _) in self._stored.items() if key == clip_key]
            return self.get(matching[-1]) if matching else None

    def _find_or_make(
        self,
        session_id: str,
        wanted: _ClipRequest,
        settings: RenderSettings | None,
        *,
        fresh: bool = False,
    ) -> Session:
        known = None if fresh else self._find(session_id, wanted.key)
        if known is not None:
            return known
        clip, media = wanted.read()  # Before the lock: a long file holds up nobody.
        with self._lock:
            known = None if fresh else self._find(session_id, wanted.key)
            if known is not None:
                return known
            made = rules.new_session(
                secrets.token_hex(8), clip, settings or RenderSettings(), wanted.application, media
            )
            session = self._session(made, wanted.key)
            self._database.save_session(wanted.key, made)
            self._stored[made.id] = (wanted.key, made)
            self._live[made.id] = session
            return session

    def _look_again(self, session: Session, wanted: _ClipRequest) -> None:
        """Takes over what became of the clip since it was last named."""
        if wanted.application is None:
            session.refresh_media()
        else:
            session.change_host_clip(wanted.read()[0])

    def _session(self, state: SessionState, clip_key: str) -> Session:
        folder = SessionFolder(self._folder / state.id)
        return Session(state, clip_key, folder, self._database, self._changes)

    def _wanted(self, message: ClipMessage, settings: RenderSettings) -> _ClipRequest:
        match message.WhichOneof("source"):
            case "media_path":
                path = self._allowed(message.media_path)
                return _ClipRequest(f"media {path}", lambda: _probe(path), None)
            case "host":
                clip = host_clip_of(message)
                # Hosts without an identity for the clip: told apart by what else is known.
                identity = clip.source or f"{clip.frame_range} {settings}"
                key = f"host {clip.size} {hashlib.blake2b(identity.encode()).hexdigest()}"
                return _ClipRequest(key, lambda: (clip, ""), message.host.application)
            case _:
                raise InvalidValueError(
                    "No clip is named: send its media path, or the host's name."
                )

    def _allowed(self, media_path: str) -> Path:
        """Raises ForbiddenPathError for a path outside the roots."""
        if not media_path or "\0" in media_path or not Path(media_path).is_absolute():
            raise InvalidValueError(
                f"The media path is {media_path!a}: send the whole path of a file."
            )
        path = Path(media_path).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            allowed = ", ".join(str(root) for root in self._roots)
            raise ForbiddenPathError(
                f"{path} lies outside the folders that this server may read ({allowed}): start it "
                "with --root for that folder."
            )
        return path


def _probe(path: Path) -> tuple[Clip, str]:
    with closing(open_source(path)) as source:
        clip = source.clip
        check_size(clip.size)
        identity = media_identity(digests_of(source, clip.frame_range.indices))
        return replace(clip, source=str(path)), identity
