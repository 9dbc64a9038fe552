"""What sessions take on disk, and how to have less of it."""

import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from inbetween.v1.upkeep_pb2 import (
    CleanSessionsResponse,
    DeleteSessionResponse,
    MeasureSessionsResponse,
    SessionUsage,
)

from server.errors import NotPossibleNowError
from server.jobs import Jobs
from server.session import Session
from server.session_folder import delete_work, size_of
from server.sessions import Sessions

log = logging.getLogger(__name__)

USED_FOLDERS = ("", "takes", "sequence")
"""Whose times tell of use; work is deleted without any."""


def measure_sessions(sessions: Sessions, session_id: str) -> MeasureSessionsResponse:
    """One session, or all."""
    return MeasureSessionsResponse(sessions=map(_usage, _named(sessions, session_id)))


def delete_session(sessions: Sessions, jobs: Jobs, session_id: str) -> DeleteSessionResponse:
    """Deletes a session. Raises NotFoundError, and NotPossibleNowError while it is rendered."""
    with jobs.held(session_id):
        doomed = sessions.delete(session_id)
    freed = size_of(doomed)
    shutil.rmtree(doomed, ignore_errors=True)  # What stays, the next server deletes.
    log.info("session %s was deleted", session_id)
    return DeleteSessionResponse(freed_bytes=freed)


def clean_sessions(sessions: Sessions, jobs: Jobs, session_id: str) -> CleanSessionsResponse:
    """Deletes what can be made again of one session, or of all; those that are rendered stay."""
    answer = CleanSessionsResponse()
    for session in _named(sessions, session_id):
        try:
            with jobs.held(session.id):
                answer.freed_bytes += delete_work(session.folder)
        except NotPossibleNowError:
            answer.busy_session_ids.append(session.id)
    return answer


def _named(sessions: Sessions, session_id: str) -> Sequence[Session]:
    ids = [session_id] if session_id else [state.id for state in sessions.states()]
    return [sessions.get(one) for one in ids]


def _usage(session: Session) -> SessionUsage:
    folder = session.folder.path
    return SessionUsage(
        session_id=session.id,
        folder=str(folder),
        source_bytes=size_of(folder / "source"),
        work_bytes=size_of(folder / "work"),
        takes_bytes=size_of(folder / "takes"),
        sequence_bytes=size_of(folder / "sequence"),
        used_at=_used_at(folder),
        takes=len(session.takes),
        finished_frames=len(session.sequence),
        imported_frames=sorted({take.frame for take in session.takes if take.imported}),
    )


def _used_at(folder: Path) -> int:
    times = [0.0]
    for name in USED_FOLDERS:
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return int(max(times))
