"""The effect in the test host, with a render server that is easily made to misbehave."""

import socket
import stat
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

import grpc
import numpy as np
import pytest
from inbetween.v1 import frame_pb2, render_pb2, render_pb2_grpc, session_pb2, session_pb2_grpc

from tests.ofx_host.host import BUNDLE, EXECUTABLE, OfxHost, Pixels, library

Answers = Iterator[render_pb2.RenderFrameResponse]
DTYPES = {
    frame_pb2.PIXEL_TYPE_UINT8: np.uint8,
    frame_pb2.PIXEL_TYPE_UINT16: np.uint16,
    frame_pb2.PIXEL_TYPE_FLOAT32: np.float32,
}
PIECE_BYTES = 1 << 20


def is_built() -> bool:
    return library().exists() and EXECUTABLE.exists()


@pytest.fixture(autouse=True)
def _built_effect() -> None:
    if not is_built():
        pytest.skip("the effect is not built: make setup")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not is_built():
        terminalreporter.section("THE EFFECT WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.write_line("build/plugin holds no effect or no test host: make setup")


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which server and effect meet."""
    folder = tmp_path_factory.mktemp("rt")
    folder.chmod(0o700)
    return folder


@pytest.fixture
def host(runtime: Path) -> Iterator[OfxHost]:
    """A host whose broken rules fail the test."""
    with OfxHost({"INBETWEEN_RUNTIME_DIR": str(runtime)}) as host:
        yield host


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle of which the command writes down how it was called; the library, the record."""
    bundle = tmp_path / "Inbetween.ofx.bundle"
    copytree(BUNDLE, bundle)
    record = tmp_path / "record"
    command = tmp_path / "inbetween"
    command.write_text(f'#!/bin/sh\n(echo "$@"; env) > {record}.new\nmv {record}.new {record}\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (bundle / "Contents/Resources/inbetween.command").write_text(f"{command}\n")
    return library(bundle), record


@pytest.fixture
def server(runtime: Path) -> Iterator["FakeServer"]:
    """A server that answers at once: each frame is the negative of its source."""
    with serving(fake_server(), runtime) as server:
        yield server


def clip(
    count: int = 5,
    height: int = 36,
    width: int = 64,
    channels: int = 4,
    dtype: type[np.generic] = np.uint8,
) -> Pixels:
    """Noise: every pixel that lands in the wrong place is seen."""
    noise = np.random.default_rng(7).random((count, height, width, channels), dtype=np.float32)
    if np.dtype(dtype) == np.float32:
        return noise * 2 - 0.5
    return (noise * np.iinfo(np.dtype(dtype)).max).astype(dtype)


def negative(pixels: Pixels) -> Pixels:
    """What the fake server makes of a frame; alpha stays."""
    result = pixels.copy()
    top = 1.0 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    result[..., :3] = top - pixels[..., :3]
    return result


@dataclass
class FakeServer(render_pb2_grpc.RenderServiceServicer, session_pb2_grpc.SessionServiceServicer):
    """Keeps the protocol, renders negatives, and remembers what it was asked."""

    needs: Callable[[int], list[int]] = lambda index: [index]
    requests: list[render_pb2.RenderFrameRequest] = field(default_factory=list)
    frames: dict[int, tuple[frame_pb2.FrameHeader, Pixels]] = field(default_factory=dict)
    session: session_pb2.Session = field(
        default_factory=lambda: session_pb2.Session(id="session-1", revision=1)
    )
    opened: list[session_pb2.OpenSessionRequest] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    asks_viewers: bool = True
    """Asks for source frames in renders that do not wait, too."""
    seconds_per_frame: float = 0
    """How slowly it takes source frames."""
    answer: Callable[[render_pb2.RenderFrameRequest, grpc.ServicerContext], Answers] | None = None
    """Instead of a negative, once the frame is known."""

    def RenderFrame(  # noqa: N802
        self, request: render_pb2.RenderFrameRequest, context: grpc.ServicerContext
    ) -> Answers:
        self.requests.append(request)
        yield render_pb2.RenderFrameResponse(session_id=self.session.id)
        missing = [index for index in self.needs(request.index) if index not in self.frames]
        known = self.frames.get(request.index)
        if known and request.source_digest not in ("", known[0].digest):
            missing.append(request.index)
        if missing and not (request.wait or self.asks_viewers):
            yield render_pb2.RenderFrameResponse(not_ready=render_pb2.NotReady())
        elif missing:
            needed = render_pb2.SourceFramesNeeded(indices=missing)
            yield render_pb2.RenderFrameResponse(source_frames_needed=needed)
        elif self.answer:
            yield from self.answer(request, context)
        else:
            yield from self.picture(request)

    def picture(self, request: render_pb2.RenderFrameRequest) -> Answers:
        yield from framed(request, negative(self.frames[request.index][1]))

    def SendSourceFrames(  # noqa: N802
        self,
        request_iterator: Iterator[render_pb2.SendSourceFramesRequest],
        context: grpc.ServicerContext,
    ) -> render_pb2.SendSourceFramesResponse:
        assert next(request_iterator).session_id == self.session.id
        received = 0
        header, pixels = frame_pb2.FrameHeader(), b""
        for part in request_iterator:
            piece = part.frame
            assert len(piece.pixels) <= PIECE_BYTES
            if piece.HasField("header"):
                header, pixels = piece.header, b""
                continue
            pixels += piece.pixels
            shape = (header.size.height, header.size.width, 4)
            if len(pixels) == np.prod(shape) * np.dtype(DTYPES[header.pixel_type]).itemsize:
                array = np.frombuffer(pixels, DTYPES[header.pixel_type]).reshape(shape)
                self.frames[header.index] = (header, array)
                received += 1
                time.sleep(self.seconds_per_frame)
        return render_pb2.SendSourceFramesResponse(received=received)

    def ListMissingSourceFrames(  # noqa: N802
        self, request: render_pb2.ListMissingSourceFramesRequest, context: grpc.ServicerContext
    ) -> render_pb2.ListMissingSourceFramesResponse:
        clip = self.session.clip.range
        whole = range(clip.first, clip.last + 1)
        asked = self.needs(request.range.first) if request.HasField("range") else whole
        missing = [index for index in asked if index not in self.frames]
        return render_pb2.ListMissingSourceFramesResponse(indices=missing)

    def StartJob(  # noqa: N802
        self, request: render_pb2.StartJobRequest, context: grpc.ServicerContext
    ) -> render_pb2.StartJobResponse:
        self.jobs.append(request.session_id)
        return render_pb2.StartJobResponse(job=session_pb2.Job(id="job-1"))

    def OpenSession(  # noqa: N802
        self, request: session_pb2.OpenSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.OpenSessionResponse:
        self.opened.append(request)
        self.session.clip.CopyFrom(request.clip)
        return session_pb2.OpenSessionResponse(session=self.session)

    def GetSession(  # noqa: N802
        self, request: session_pb2.GetSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.GetSessionResponse:
        return session_pb2.GetSessionResponse(session=self.session)

    def AddKeyFrame(  # noqa: N802
        self, request: session_pb2.AddKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.AddKeyFrameResponse:
        if any(key.index == request.key_frame.index for key in self.session.key_frames):
            message = f"Frame {request.key_frame.index} has a key frame already."
            context.abort(grpc.StatusCode.ALREADY_EXISTS, message)
        self.session.key_frames.append(request.key_frame)
        return session_pb2.AddKeyFrameResponse(session=self.session)

    def DeleteKeyFrame(  # noqa: N802
        self, request: session_pb2.DeleteKeyFrameRequest, context: grpc.ServicerContext
    ) -> session_pb2.DeleteKeyFrameResponse:
        kept = [key for key in self.session.key_frames if key.index != request.index]
        del self.session.key_frames[:]
        self.session.key_frames.extend(kept)
        return session_pb2.DeleteKeyFrameResponse(session=self.session)


def fake_server() -> FakeServer:
    """One that knows nothing yet."""
    return FakeServer()  # type: ignore[abstract]  # no effect makes the calls it lacks


def framed(request: render_pb2.RenderFrameRequest, pixels: Pixels) -> Answers:
    """A picture as the contract wants it."""
    header = frame_pb2.FrameHeader(
        index=request.index,
        size=request.size,
        pixel_type=request.pixel_type,
        alpha=request.alpha,
    )
    yield render_pb2.RenderFrameResponse(frame=frame_pb2.FramePiece(header=header))
    data = pixels.tobytes()
    for start in range(0, len(data), PIECE_BYTES):
        piece = frame_pb2.FramePiece(pixels=data[start : start + PIECE_BYTES])
        yield render_pb2.RenderFrameResponse(frame=piece)


@contextmanager
def serving(fake: FakeServer, runtime: Path) -> Iterator[FakeServer]:
    """Listens at the rendezvous."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    render_pb2_grpc.add_RenderServiceServicer_to_server(fake, server)
    session_pb2_grpc.add_SessionServiceServicer_to_server(fake, server)
    server.add_insecure_port(f"unix:{runtime}/server.sock")
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


@contextmanager
def deaf_socket(runtime: Path) -> Iterator[None]:
    """Somebody who accepts connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{runtime}/server.sock")
        listener.listen(8)
        yield
