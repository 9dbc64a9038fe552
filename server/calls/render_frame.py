"""What an effect asks in its render action."""

import time
from collections.abc import Callable, Iterable, Iterator

from inbetween.v1.frame_pb2 import FramePiece
from inbetween.v1.render_pb2 import (
    NotReady,
    RenderFrameRequest,
    RenderFrameResponse,
    SendSourceFramesRequest,
    SendSourceFramesResponse,
    SourceFramesNeeded,
    SourceShown,
)

from engine.errors import InvalidValueError
from engine.media.color import with_alpha
from engine.plan import needed_sources
from engine.types import FrameRange
from server.changes import Changes
from server.convert import frame_size_of
from server.errors import NotPossibleNowError
from server.frames import ALPHA_OF, check_pixel_type, frame_pieces, received_frames
from server.job_run import ACTIVE
from server.jobs import Jobs
from server.pictures import resized
from server.planning import shot_has_key_frame
from server.sessions import Sessions

PAUSE_SECONDS = 0.05
"""Between two answers of progress."""
IDLE_SECONDS = 1.0
MOST_ATTEMPTS = 8

NO_KEY_FRAME = (
    "No key frame in this shot: the source is shown. Add a key frame here or set a key interval."
)


class FrameRendering:
    """One call of an effect: one frame, now or when it is ready."""

    def __init__(
        self,
        sessions: Sessions,
        jobs: Jobs,
        changes: Changes,
        request: RenderFrameRequest,
        is_active: Callable[[], bool],
    ) -> None:
        _check(request)
        self._jobs = jobs
        self._changes = changes
        self._request = request
        self._is_active = is_active
        self._index = request.index
        self._session = sessions.of_effect(request)
        self._session.check_index(request.index)
        self._session.check_host_digest(request.index, request.source_digest)

    def answers(self) -> Iterator[RenderFrameResponse]:
        """The session, then what the contract says of each case."""
        yield RenderFrameResponse(session_id=self._session.id)
        for _ in range(MOST_ATTEMPTS):
            if not self._has_key_frame():
                yield RenderFrameResponse(source_shown=SourceShown(reason=NO_KEY_FRAME))
                return
            if self._session.is_ready(self._index):
                yield from self._frame()
                return
            if not self._request.wait:
                yield from self._stand_in()
                return
            only_this = FrameRange(self._index, self._index)
            if missing := self._session.missing_sources(only_this):
                yield RenderFrameResponse(source_frames_needed=SourceFramesNeeded(indices=missing))
                return
            yield from self._until_done()
            if not self._is_active():
                return
        raise NotPossibleNowError(
            f"Frame {self._index} changed again and again while it was rendered: render it again "
            "when the session is at rest."
        )

    def _has_key_frame(self) -> bool:
        state = self._session.state
        has_key = shot_has_key_frame(
            state.clip.frame_range, state.cuts or (), state.active_key_frames
        )
        return has_key(self._index)

    def _stand_in(self) -> Iterator[RenderFrameResponse]:
        job = self._jobs.making(self._session, FrameRange(self._index, self._index))
        yield RenderFrameResponse(not_ready=NotReady(job=job))
        if self._index in self._session.sequence:
            yield from self._frame()

    def _until_done(self) -> Iterator[RenderFrameResponse]:
        """Progress, until the frame is there or the job has ended. Raises what ended the job."""
        with self._jobs.joined(self._session, self._interval()) as job_id:
            since = self._changes.now()
            while self._is_active() and not self._session.is_ready(self._index):
                job = self._jobs.get(job_id)
                yield RenderFrameResponse(not_ready=NotReady(job=job))
                if job.state not in ACTIVE:
                    if not self._session.missing_sources(self._interval()):
                        self._jobs.check_outcome(job_id)
                    return
                time.sleep(PAUSE_SECONDS)
                _, since = self._changes.wait(self._session.id, since, IDLE_SECONDS)

    def _interval(self) -> FrameRange:
        """From the key frame before the frame to the one after it: one piece of work."""
        state = self._session.state
        only_this = FrameRange(self._index, self._index)
        keys = state.active_key_frames
        return needed_sources(state.clip.frame_range, keys, only_this) or only_this

    def _frame(self) -> Iterator[RenderFrameResponse]:
        request, session = self._request, self._session
        frame = session.read_result(self._index)
        if request.HasField("size"):
            frame = resized(frame, frame_size_of(request.size))
        if request.alpha in ALPHA_OF:
            frame = with_alpha(frame, ALPHA_OF[request.alpha])
        for piece in frame_pieces(frame, request.pixel_type):
            yield RenderFrameResponse(frame=piece)


def receive_source_frames(
    sessions: Sessions, parts: Iterator[SendSourceFramesRequest]
) -> SendSourceFramesResponse:
    """Keeps the source frames that a host sends; a bad one costs only itself and later ones."""
    first = next(parts, SendSourceFramesRequest())
    if first.WhichOneof("part") != "session_id":
        raise InvalidValueError("Source frames came without their session: send its id first.")
    session = sessions.get(first.session_id)
    received = 0
    for frame in received_frames(_pieces(parts)):
        session.receive(frame)
        received += 1
    return SendSourceFramesResponse(received=received)


def _pieces(parts: Iterable[SendSourceFramesRequest]) -> Iterator[FramePiece]:
    for part in parts:
        yield part.frame


def _check(request: RenderFrameRequest) -> None:
    check_pixel_type(request.pixel_type)
    if request.HasField("size"):
        frame_size_of(request.size)
