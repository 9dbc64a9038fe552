"""What a watcher of a session is told."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext

from inbetween.v1.session_pb2 import FrameRuns, Job, Preview, WatchResponse

from server.changes import Changes, Topic
from server.jobs import Jobs
from server.session import Session
from server.views import frame_runs, frame_states, session_view

PAUSE_SECONDS = 0.05
"""At least, between two looks: what happens in between is told as one change."""
IDLE_SECONDS = 1.0


def watch(
    session: Session,
    jobs: Jobs,
    changes: Changes,
    is_active: Callable[[], bool],
    *,
    previews: bool,
) -> Iterator[WatchResponse]:
    """The session, its frames and its jobs, then every change of them while the call is active."""
    teller = _Teller(session, jobs)
    hidden = set() if previews else {Topic.PREVIEWS}
    topics, since = set(Topic), changes.now()
    with jobs.previews(session.id) if previews else nullcontext():
        while is_active() and not changes.closed:
            session.check_there()
            began = time.monotonic()
            yield from teller.news(topics - hidden)
            if topics:
                # Looking at a long clip takes long: at most half of the time goes into it.
                time.sleep(max(PAUSE_SECONDS, time.monotonic() - began))
            topics, since = changes.wait(session.id, since, IDLE_SECONDS)


class _Teller:
    """Remembers what it told, and tells only what differs."""

    def __init__(self, session: Session, jobs: Jobs) -> None:
        self._session = session
        self._jobs = jobs
        self._frames: FrameRuns | None = None
        self._told: dict[str, Job] = {}
        self._preview: Preview | None = None

    def news(self, topics: set[Topic]) -> Iterator[WatchResponse]:
        if Topic.SESSION in topics:
            yield WatchResponse(session=session_view(self._session))
        jobs = self._jobs.of_session(self._session.id)
        if Topic.FRAMES in topics:
            frames = frame_runs(frame_states(self._session, jobs))
            if frames != self._frames:
                self._frames = frames
                yield WatchResponse(frames=frames)
        for job in jobs:
            if self._told.get(job.id) != job:
                yield WatchResponse(job=job)
        self._told = {job.id: job for job in jobs}
        if Topic.PREVIEWS in topics:
            preview = self._jobs.preview(self._session.id)
            if preview is not None and preview is not self._preview:
                yield WatchResponse(preview=preview)
            self._preview = preview
