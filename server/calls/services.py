"""The RPC methods: each checks, calls and answers. All work is done elsewhere."""

import os
from collections.abc import Iterator
from importlib.metadata import version

import grpc
from inbetween.v1 import (
    render_pb2,
    render_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    upkeep_pb2,
    upkeep_pb2_grpc,
)
from inbetween.v1.session_pb2 import Session as SessionMessage

from engine.system import usable_cores
from engine.translation.painters import describe_painters
from engine.translation.words.vocabulary import Look
from server import state as rules
from server.calls.edits import key_frame_rule, key_frames_rule, settings_rule
from server.calls.estimate_cost import estimate_cost
from server.calls.import_painting import import_painting, received_painting
from server.calls.read_frame import read_frame
from server.calls.render_frame import FrameRendering, receive_source_frames
from server.calls.upkeep import clean_sessions, delete_session, measure_sessions
from server.calls.watch import watch
from server.changes import Changes
from server.convert import key_frame_of, range_asked, session_message
from server.job_run import ACTIVE
from server.jobs import Jobs
from server.sessions import Sessions
from server.views import frame_runs, frame_states, session_view

# ruff: noqa: ARG002, N802 - the methods' names and arguments are the contract's


class SessionService(session_pb2_grpc.SessionServiceServicer):
    """Clips, settings and key frames."""

    def __init__(self, sessions: Sessions, jobs: Jobs, changes: Changes) -> None:
        self._sessions = sessions
        self._jobs = jobs
        self._changes = changes

    def OpenSession(
        self, request: session_pb2.OpenSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.OpenSessionResponse:
        session = self._sessions.open(request)
        return session_pb2.OpenSessionResponse(session=session_view(session))

    def GetSession(
        self, request: session_pb2.GetSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.GetSessionResponse:
        session = self._sessions.get(request.session_id)
        jobs = self._jobs.of_session(session.id)
        return session_pb2.GetSessionResponse(
            session=session_view(session),
            frames=frame_runs(frame_states(session, jobs)).runs,
            jobs=[job for job in jobs if job.state in ACTIVE],
        )

    def ListSessions(
        self, request: session_pb2.ListSessionsRequest, context: grpc.ServicerContext
    ) -> session_pb2.ListSessionsResponse:
        sessions = [session_message(state, folder="") for state in self._sessions.states()]
        return session_pb2.ListSessionsResponse(sessions=sessions)

    def UpdateSettings(
        self, request: session_pb2.UpdateSettingsRequest, context: grpc.ServicerContext
    ) -> session_pb2.UpdateSettingsResponse:
        session = self._sessions.get(request.session_id)
        session.edit(settings_rule(request))
        return session_pb2.UpdateSettingsResponse(session=session_view(session))

    def AddKeyFrame(
        self, request: session_pb2.AddKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.AddKeyFrameResponse:
        key = key_frame_of(request.key_frame)
        view = self._edited(request.session_id, lambda state: rules.add_key_frame(state, key))
        return session_pb2.AddKeyFrameResponse(session=view)

    def MoveKeyFrame(
        self, request: session_pb2.MoveKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.MoveKeyFrameResponse:
        session = self._sessions.get(request.session_id)
        session.move_key_frame(request.from_index, request.to_index)
        return session_pb2.MoveKeyFrameResponse(session=session_view(session))

    def DeleteKeyFrame(
        self, request: session_pb2.DeleteKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.DeleteKeyFrameResponse:
        index = request.index
        view = self._edited(request.session_id, lambda state: rules.delete_key_frame(state, index))
        return session_pb2.DeleteKeyFrameResponse(session=view)

    def EditKeyFrame(
        self, request: session_pb2.EditKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.EditKeyFrameResponse:
        view = self._edited(request.session_id, key_frame_rule(request))
        return session_pb2.EditKeyFrameResponse(session=view)

    def SetKeyFrames(
        self, request: session_pb2.SetKeyFramesRequest, context: grpc.ServicerContext
    ) -> session_pb2.SetKeyFramesResponse:
        view = self._edited(request.session_id, key_frames_rule(request))
        return session_pb2.SetKeyFramesResponse(session=view)

    def ImportPainting(
        self,
        request_iterator: Iterator[session_pb2.ImportPaintingRequest],
        context: grpc.ServicerContext,
    ) -> session_pb2.ImportPaintingResponse:
        with received_painting(request_iterator) as painting:
            session = self._sessions.get(painting.session_id)
            import_painting(session, painting)
        return session_pb2.ImportPaintingResponse(session=session_view(session))

    def Watch(
        self, request: session_pb2.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[session_pb2.WatchResponse]:
        session = self._sessions.get(request.session_id)
        context.add_callback(self._changes.wake)
        yield from watch(
            session,
            self._jobs,
            self._changes,
            context.is_active,
            previews=request.previews,
        )

    def _edited(self, session_id: str, rule: rules.Rule) -> SessionMessage:
        session = self._sessions.get(session_id)
        session.edit_key_frames(rule)
        return session_view(session)


class RenderService(render_pb2_grpc.RenderServiceServicer):
    """Work and pictures."""

    def __init__(self, sessions: Sessions, jobs: Jobs, changes: Changes) -> None:
        self._sessions = sessions
        self._jobs = jobs
        self._changes = changes

    def RenderFrame(
        self, request: render_pb2.RenderFrameRequest, context: grpc.ServicerContext
    ) -> Iterator[render_pb2.RenderFrameResponse]:
        context.add_callback(self._changes.wake)
        rendering = FrameRendering(
            self._sessions, self._jobs, self._changes, request, context.is_active
        )
        yield from rendering.answers()

    def ListMissingSourceFrames(
        self, request: render_pb2.ListMissingSourceFramesRequest, context: grpc.ServicerContext
    ) -> render_pb2.ListMissingSourceFramesResponse:
        session = self._sessions.get(request.session_id)
        missing = session.missing_sources(range_asked(request, session.state.clip.frame_range))
        return render_pb2.ListMissingSourceFramesResponse(indices=missing)

    def SendSourceFrames(
        self,
        request_iterator: Iterator[render_pb2.SendSourceFramesRequest],
        context: grpc.ServicerContext,
    ) -> render_pb2.SendSourceFramesResponse:
        return receive_source_frames(self._sessions, request_iterator)

    def ReadFrame(
        self, request: render_pb2.ReadFrameRequest, context: grpc.ServicerContext
    ) -> Iterator[render_pb2.ReadFrameResponse]:
        yield from read_frame(self._sessions.get(request.session_id), self._jobs, request)

    def EstimateCost(
        self, request: render_pb2.EstimateCostRequest, context: grpc.ServicerContext
    ) -> render_pb2.EstimateCostResponse:
        return estimate_cost(self._sessions.get(request.session_id), self._jobs, request)

    def StartJob(
        self, request: render_pb2.StartJobRequest, context: grpc.ServicerContext
    ) -> render_pb2.StartJobResponse:
        session = self._sessions.get(request.session_id)
        job = self._jobs.ask(
            session,
            range_asked(request, session.state.clip.frame_range),
            keys_only=request.keys_only,
            renew=request.renew,
        )
        return render_pb2.StartJobResponse(job=job)

    def CancelJob(
        self, request: render_pb2.CancelJobRequest, context: grpc.ServicerContext
    ) -> render_pb2.CancelJobResponse:
        return render_pb2.CancelJobResponse(job=self._jobs.cancel(request.job_id))

    def GetServerInfo(
        self, request: render_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> render_pb2.GetServerInfoResponse:
        painters = [
            render_pb2.Painter(
                name=painter.name,
                label=painter.label,
                description=painter.description,
                available=painter.available,
                reason=painter.reason,
                looks=map(_look_message, painter.looks),
                modifiers=map(_look_message, painter.modifiers),
                names_only=painter.names_only,
            )
            for painter in describe_painters()
        ]
        return render_pb2.GetServerInfoResponse(
            version=version("inbetween"), device=_device(), painters=painters
        )


class UpkeepService(upkeep_pb2_grpc.UpkeepServiceServicer):
    """What the server keeps, and how to have less of it."""

    def __init__(
        self, sessions: Sessions, jobs: Jobs, limits: upkeep_pb2.GetServerStatusResponse
    ) -> None:
        """`limits` tells how the server was started."""
        self._sessions = sessions
        self._jobs = jobs
        self._limits = limits

    def GetServerStatus(
        self, request: upkeep_pb2.GetServerStatusRequest, context: grpc.ServicerContext
    ) -> upkeep_pb2.GetServerStatusResponse:
        status = upkeep_pb2.GetServerStatusResponse(
            version=version("inbetween"),
            device=_device(),
            process_id=os.getpid(),
            worker_process_id=self._jobs.worker_process_id or 0,
            sessions=len(self._sessions.states()),
            jobs=self._jobs.active,
        )
        status.MergeFrom(self._limits)
        return status

    def MeasureSessions(
        self, request: upkeep_pb2.MeasureSessionsRequest, context: grpc.ServicerContext
    ) -> upkeep_pb2.MeasureSessionsResponse:
        return measure_sessions(self._sessions, request.session_id)

    def DeleteSession(
        self, request: upkeep_pb2.DeleteSessionRequest, context: grpc.ServicerContext
    ) -> upkeep_pb2.DeleteSessionResponse:
        return delete_session(self._sessions, self._jobs, request.session_id)

    def CleanSessions(
        self, request: upkeep_pb2.CleanSessionsRequest, context: grpc.ServicerContext
    ) -> upkeep_pb2.CleanSessionsResponse:
        return clean_sessions(self._sessions, self._jobs, request.session_id)


def _device() -> str:
    return f"CPU, {usable_cores()} threads"


def _look_message(look: Look) -> render_pb2.Look:
    return render_pb2.Look(name=look.name, phrases=look.phrases, picture=look.picture)
