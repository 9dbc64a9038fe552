"""A render server of a screenful, which a test can slow down, stop, start again and look into."""

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.field_mask_pb2 import FieldMask
from inbetween.v1 import frame_pb2, render_pb2, render_pb2_grpc, session_pb2_grpc
from inbetween.v1 import session_pb2 as pb
from inbetween.v1.settings_pb2 import Settings

CLIP = pb.Clip(
    media_path="/clips/A012_C004.mov",
    range=frame_pb2.FrameRange(first=0, last=95),
    size=frame_pb2.FrameSize(width=320, height=180),
    frame_rate=frame_pb2.Rational(numerator=24, denominator=1),
    pixel_aspect=frame_pb2.Rational(numerator=1, denominator=1),
)


class FakeServer(session_pb2_grpc.SessionServiceServicer, render_pb2_grpc.RenderServiceServicer):
    """Keeps one session in memory; renders nothing."""

    def __init__(self, socket: Path, clip: pb.Clip = CLIP) -> None:
        self.socket = socket
        self.session = pb.Session(id="fake", revision=1, clip=clip)
        self.has_session = True
        self.info = render_pb2.GetServerInfoResponse(
            version="0",
            device="CPU, 2 threads",
            painters=[
                render_pb2.Painter(
                    name="diffusion",
                    label="Diffusion",
                    available=True,
                    looks=[
                        render_pb2.Look(name="oil painting", phrases=["oil painting", "impasto"]),
                        render_pb2.Look(name="woodcut", phrases=["woodcut", "wood engraving"]),
                    ],
                    modifiers=[render_pb2.Look(name="warm", phrases=["warm", "golden"])],
                )
            ],
        )
        self.runs: list[pb.FrameRun] = []
        self.requests: list[Any] = []
        self.read_seconds = 0.0
        self.estimate = render_pb2.EstimateCostResponse(
            to_do=pb.Cost(paintings=1, propagations=33, blends=12), seconds=70
        )
        self.loses_answers = False
        self._watchers: list[queue.Queue[pb.WatchResponse]] = []
        self._lock = threading.RLock()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(16))
        session_pb2_grpc.add_SessionServiceServicer_to_server(self, self._server)
        render_pb2_grpc.add_RenderServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.stop(None).wait()

    def asked(self, kind: type[Any]) -> list[Any]:
        """The requests of a kind so far."""
        return [request for request in list(self.requests) if isinstance(request, kind)]

    def tell(self, event: pb.WatchResponse) -> None:
        """Sends an event to everybody who watches."""
        with self._lock:
            for watcher in self._watchers:
                watcher.put(event)

    def tell_frames(self, *runs: tuple[int, int, pb.FrameState.ValueType]) -> None:
        """Frames change their states: first, last, state."""
        self.runs = [
            pb.FrameRun(range=frame_pb2.FrameRange(first=first, last=last), state=state)
            for first, last, state in runs
        ]
        self.tell(pb.WatchResponse(frames=pb.FrameRuns(runs=self.runs)))

    def change_keys(self, keys: list[pb.KeyFrame]) -> pb.Session:
        """Other key frames, in a new revision."""
        with self._lock:
            del self.session.key_frames[:]
            self.session.key_frames.extend(sorted(keys, key=lambda key: key.index))
            return self._revised()

    def change_settings(self, settings: Settings) -> pb.Session:
        """Other settings of the clip, in a new revision."""
        with self._lock:
            self.session.settings.CopyFrom(settings)
            return self._revised()

    @property
    def keys(self) -> list[int]:
        return [key.index for key in self.session.key_frames]

    def _revised(self) -> pb.Session:
        self.session.revision += 1
        copy = pb.Session()
        copy.CopyFrom(self.session)
        self.tell(pb.WatchResponse(session=copy))
        return copy

    # SessionService

    def ListSessions(self, request: Any, context: Any) -> pb.ListSessionsResponse:  # noqa: N802
        return pb.ListSessionsResponse(sessions=[self.session] if self.has_session else [])

    def OpenSession(self, request: Any, context: Any) -> pb.OpenSessionResponse:  # noqa: N802
        self.requests.append(request)
        self.has_session = True
        return pb.OpenSessionResponse(session=self.session)

    def AddKeyFrame(self, request: Any, context: Any) -> pb.AddKeyFrameResponse:  # noqa: N802
        self.requests.append(request)
        session = self.change_keys([*self.session.key_frames, request.key_frame])
        if self.loses_answers:
            self.loses_answers = False
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
        return pb.AddKeyFrameResponse(session=session)

    def DeleteKeyFrame(self, request: Any, context: Any) -> pb.DeleteKeyFrameResponse:  # noqa: N802
        self.requests.append(request)
        kept = [key for key in self.session.key_frames if key.index != request.index]
        return pb.DeleteKeyFrameResponse(session=self.change_keys(kept))

    def MoveKeyFrame(self, request: Any, context: Any) -> pb.MoveKeyFrameResponse:  # noqa: N802
        self.requests.append(request)
        for key in self.session.key_frames:
            if key.index == request.from_index:
                key.index = request.to_index
        session = self.change_keys(list(self.session.key_frames))
        return pb.MoveKeyFrameResponse(session=session)

    def GetSession(self, request: Any, context: Any) -> pb.GetSessionResponse:  # noqa: N802
        self.requests.append(request)
        return pb.GetSessionResponse(session=self.session)

    def SetKeyFrames(self, request: Any, context: Any) -> pb.SetKeyFramesResponse:  # noqa: N802
        self.requests.append(request)
        if request.if_revision != self.session.revision:
            context.abort(grpc.StatusCode.ABORTED, "somebody else was quicker")
        return pb.SetKeyFramesResponse(session=self.change_keys(list(request.key_frames)))

    def EditKeyFrame(self, request: Any, context: Any) -> pb.EditKeyFrameResponse:  # noqa: N802
        self.requests.append(request)
        keys = list(self.session.key_frames)
        edited = next(key for key in keys if key.index == request.key_frame.index)
        FieldMask(paths=request.changed.paths).MergeMessage(request.key_frame, edited)
        return pb.EditKeyFrameResponse(session=self.change_keys(keys))

    def UpdateSettings(self, request: Any, context: Any) -> pb.UpdateSettingsResponse:  # noqa: N802
        self.requests.append(request)
        merged = Settings()
        merged.CopyFrom(self.session.settings)
        FieldMask(paths=request.changed.paths).MergeMessage(request.settings, merged)
        return pb.UpdateSettingsResponse(session=self.change_settings(merged))

    def Watch(self, request: Any, context: Any) -> Iterator[pb.WatchResponse]:  # noqa: N802
        events: queue.Queue[pb.WatchResponse] = queue.Queue()
        events.put(pb.WatchResponse(session=self.session))
        events.put(pb.WatchResponse(frames=pb.FrameRuns(runs=self.runs)))
        self._watchers.append(events)
        while context.is_active():
            try:
                yield events.get(timeout=0.05)
            except queue.Empty:
                continue

    # RenderService

    def GetServerInfo(  # noqa: N802
        self, request: Any, context: Any
    ) -> render_pb2.GetServerInfoResponse:
        return self.info

    def EstimateCost(self, request: Any, context: Any) -> render_pb2.EstimateCostResponse:  # noqa: N802
        return self.estimate

    def StartJob(self, request: Any, context: Any) -> render_pb2.StartJobResponse:  # noqa: N802
        self.requests.append(request)
        job = pb.Job(id="2", state=pb.JOB_STATE_RUNNING, range=request.range)
        return render_pb2.StartJobResponse(job=job)

    def ReadFrame(  # noqa: N802
        self, request: Any, context: Any
    ) -> Iterator[render_pb2.ReadFrameResponse]:
        self.requests.append(request)
        time.sleep(self.read_seconds)
        state = pb.FRAME_STATE_READY
        yield render_pb2.ReadFrameResponse(description=render_pb2.PictureDescription(state=state))
        scale = min(request.fit_within.width / 320, request.fit_within.height / 180, 1.0)
        size = frame_pb2.FrameSize(width=round(320 * scale), height=round(180 * scale))
        header = frame_pb2.FrameHeader(
            index=request.index,
            size=size,
            pixel_type=frame_pb2.PIXEL_TYPE_UINT8,
            alpha=frame_pb2.ALPHA_OPAQUE,
        )
        yield render_pb2.ReadFrameResponse(frame=frame_pb2.FramePiece(header=header))
        pixels = _pixels(request, size.width, size.height)
        yield render_pb2.ReadFrameResponse(frame=frame_pb2.FramePiece(pixels=pixels))


def _pixels(request: render_pb2.ReadFrameRequest, width: int, height: int) -> bytes:
    """Red tells the frame, green rises to the right, and blue tells the kind of picture."""
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[..., 0] = request.index % 256
    pixels[..., 1] = np.linspace(0, 255, width)
    pixels[..., 2] = 80 * request.picture
    return pixels.tobytes()
