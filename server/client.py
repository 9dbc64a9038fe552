"""A client of the render server, for the command line, the benchmarks, the demo and the tests.

`connect()` finds the server at its socket, or starts one. Every refusal and every failure of the
server comes back as an InbetweenError with the server's own sentence.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from grpc_status import rpc_status
from inbetween.v1 import frame_pb2, render_pb2, session_pb2, upkeep_pb2
from inbetween.v1.frame_pb2 import FramePiece, PixelType
from inbetween.v1.render_pb2 import Picture
from inbetween.v1.render_pb2_grpc import RenderServiceStub
from inbetween.v1.session_pb2 import FrameState, Job, JobState, KeyFrame, Session, SizeRule
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from inbetween.v1.settings_pb2 import Settings
from inbetween.v1.upkeep_pb2 import CleanSessionsResponse, GetServerStatusResponse, SessionUsage
from inbetween.v1.upkeep_pb2_grpc import UpkeepServiceStub

from engine.errors import InbetweenError
from engine.types import Frame, FrameRange
from server import paths
from server.errors import STATUS_OF
from server.frames import PIECE_BYTES, received_frames
from server.launcher import ServerUnavailableError, channel_to_server, is_running, start_server

CALL_SECONDS = 60.0
PICTURE_SECONDS = 120.0
DISK_SECONDS = 600.0
"""For what goes through all files."""
FINISHED = (JobState.JOB_STATE_DONE, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED)


@dataclass(frozen=True)
class Answer:
    """A picture from the server, in floats, and what it is."""

    state: FrameState.ValueType
    frame: Frame | None
    """None where there is no such picture."""


class Client:
    """Calls of the render server, each with a deadline."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._sessions = SessionServiceStub(channel)
        self._render = RenderServiceStub(channel)
        self._upkeep = UpkeepServiceStub(channel)

    def server_info(self) -> render_pb2.GetServerInfoResponse:
        """Who renders, with what."""
        with _plain_errors():
            request = render_pb2.GetServerInfoRequest()
            return self._render.GetServerInfo(request, timeout=CALL_SECONDS)

    def server_status(self) -> GetServerStatusResponse:
        """How the server stands."""
        with _plain_errors():
            request = upkeep_pb2.GetServerStatusRequest()
            return self._upkeep.GetServerStatus(request, timeout=CALL_SECONDS)

    def measure_sessions(self, session_id: str = "") -> Sequence[SessionUsage]:
        """What a session takes on disk, or each of all."""
        request = upkeep_pb2.MeasureSessionsRequest(session_id=session_id)
        with _plain_errors():
            return self._upkeep.MeasureSessions(request, timeout=DISK_SECONDS).sessions

    def delete_session(self, session_id: str) -> int:
        """Deletes a session; the bytes that are free by that."""
        request = upkeep_pb2.DeleteSessionRequest(session_id=session_id)
        with _plain_errors():
            return self._upkeep.DeleteSession(request, timeout=DISK_SECONDS).freed_bytes

    def clean_sessions(self, session_id: str = "") -> CleanSessionsResponse:
        """Deletes what can be made again, of a session or of all."""
        request = upkeep_pb2.CleanSessionsRequest(session_id=session_id)
        with _plain_errors():
            return self._upkeep.CleanSessions(request, timeout=DISK_SECONDS)

    def open_session(self, media: Path, *, session_id: str = "", fresh: bool = False) -> Session:
        """The session of a clip on disk; one with default settings is made where there is none."""
        request = session_pb2.OpenSessionRequest(
            clip=session_pb2.Clip(media_path=str(media)), session_id=session_id, fresh=fresh
        )
        with _plain_errors():
            return self._sessions.OpenSession(request, timeout=CALL_SECONDS).session

    def session(self, session_id: str) -> session_pb2.GetSessionResponse:
        """A session with the states of its frames and its jobs."""
        request = session_pb2.GetSessionRequest(session_id=session_id)
        with _plain_errors():
            return self._sessions.GetSession(request, timeout=CALL_SECONDS)

    def list_sessions(self) -> Sequence[Session]:
        """All sessions."""
        with _plain_errors():
            request = session_pb2.ListSessionsRequest()
            return self._sessions.ListSessions(request, timeout=CALL_SECONDS).sessions

    def update_settings(
        self, session_id: str, settings: Settings, changed: Iterable[str]
    ) -> Session:
        """Changes those settings of a session, named as "translation.prompt"."""
        request = session_pb2.UpdateSettingsRequest(
            session_id=session_id, settings=settings, changed=session_pb2.FieldNames(paths=changed)
        )
        with _plain_errors():
            return self._sessions.UpdateSettings(request, timeout=CALL_SECONDS).session

    def set_key_frames(self, session: Session, key_frames: Iterable[KeyFrame]) -> Session:
        """Replaces all key frames of a session, which nobody may have changed since."""
        request = session_pb2.SetKeyFramesRequest(
            session_id=session.id, key_frames=key_frames, if_revision=session.revision
        )
        with _plain_errors():
            return self._sessions.SetKeyFrames(request, timeout=CALL_SECONDS).session

    def import_painting(
        self, session_id: str, index: int, painting: Path, size_rule: SizeRule.ValueType
    ) -> Session:
        """Makes a picture file the take of a key frame, which is placed where there is none."""
        description = session_pb2.PaintingDescription(
            session_id=session_id, index=index, file_name=painting.name, size_rule=size_rule
        )
        with _plain_errors():
            return self._sessions.ImportPainting(
                _painting_parts(description, painting), timeout=PICTURE_SECONDS
            ).session

    def run_job(
        self,
        session_id: str,
        frames: FrameRange | None = None,
        *,
        keys_only: bool = False,
        renew: bool = False,
    ) -> Iterator[Job]:
        """Starts a job, or joins the one that does the same, and follows it to its end. `renew`
        paints key frames again that were painted against older ones.

        The job comes at each progress; the last one is done, failed or cancelled. A watch begins
        before the job does, so that no end is missed.
        """
        request = render_pb2.StartJobRequest(
            session_id=session_id, range=_range(frames), keys_only=keys_only, renew=renew
        )
        with _plain_errors():
            watch = self._sessions.Watch(session_pb2.WatchRequest(session_id=session_id))
            try:
                events = iter(watch)
                next(events)
                job = self._render.StartJob(request, timeout=CALL_SECONDS).job
                yield job
                while job.state not in FINISHED:
                    event = next(events, None)
                    if event is None:
                        raise ServerUnavailableError(_gone())
                    if event.WhichOneof("event") == "job" and event.job.id == job.id:
                        job = event.job
                        yield job
            finally:
                watch.cancel()  # type: ignore[no-untyped-call]

    def cancel_job(self, job_id: str) -> Job:
        """Ends a job; what it finished is kept."""
        request = render_pb2.CancelJobRequest(job_id=job_id)
        with _plain_errors():
            return self._render.CancelJob(request, timeout=CALL_SECONDS).job

    def read_frame(
        self,
        session_id: str,
        index: int,
        picture: Picture.ValueType = Picture.PICTURE_RESULT,
        take: str = "",
    ) -> Answer:
        """One picture at full size, as floats."""
        request = render_pb2.ReadFrameRequest(
            session_id=session_id,
            index=index,
            picture=picture,
            take=take,
            pixel_type=PixelType.PIXEL_TYPE_FLOAT32,
        )
        with _plain_errors():
            return _answer(self._render.ReadFrame(request, timeout=PICTURE_SECONDS))

    def read_frames(self, session_id: str, frames: FrameRange) -> Iterator[Answer]:
        """The result in the order of time, one frame in memory."""
        for index in frames.indices:
            yield self.read_frame(session_id, index)


@contextmanager
def connect(*, start: bool = True) -> Iterator[Client]:
    """A client of the running server; where none runs, one is started and stays.

    Raises ServerUnavailableError when there is none and `start` is False, or it cannot be started.
    """
    if not is_running():
        if not start:
            raise ServerUnavailableError(
                "No render server is running: start it by inbetween server start."
            )
        start_server()
    with channel_to_server() as channel:
        yield Client(channel)


def _range(frames: FrameRange | None) -> frame_pb2.FrameRange | None:
    return frame_pb2.FrameRange(first=frames.first, last=frames.last) if frames else None


def _painting_parts(
    description: session_pb2.PaintingDescription, painting: Path
) -> Iterator[session_pb2.ImportPaintingRequest]:
    yield session_pb2.ImportPaintingRequest(description=description)
    with painting.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield session_pb2.ImportPaintingRequest(file_bytes=piece)


def _answer(parts: Iterable[render_pb2.ReadFrameResponse]) -> Answer:
    state = FrameState.FRAME_STATE_UNSPECIFIED

    def pieces() -> Iterator[FramePiece]:
        nonlocal state
        for part in parts:
            if part.WhichOneof("part") == "description":
                state = part.description.state
            else:
                yield part.frame

    frames = [received.frame for received in received_frames(pieces())]
    return Answer(state, frames[0] if frames else None)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns a gRPC status into the error it stands for."""
    try:
        yield
    except grpc.RpcError as error:
        raise _plain_error(error) from error


def _plain_error(error: grpc.RpcError) -> InbetweenError:
    log = f"Its log: {paths.log_path()}"
    if not isinstance(error, grpc.Call):
        return InbetweenError(f"The call of the render server failed: {error}. {log}")
    code = error.code()
    if code == grpc.StatusCode.UNAVAILABLE:
        return ServerUnavailableError(_gone())
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerUnavailableError(f"The render server does not answer. {log}")
    return _error_type(error)(error.details() or f"The render server failed. {log}")


def _gone() -> str:
    return (
        "The render server went away; what it finished is kept, and the same command goes on from "
        f"there. Its log: {paths.log_path()}"
    )


def _error_type(error: grpc.Call) -> type[InbetweenError]:
    """The exception that the server told by the reason in its error details."""
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    reasons = [info.reason for detail in (status.details if status else ()) if detail.Unpack(info)]
    return next(
        (kind for kind, (_, reason) in STATUS_OF.items() if reason in reasons), InbetweenError
    )
