"""A client of the shared server, and clips small enough to render in a test."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
import pytest
from inbetween.v1.frame_pb2 import FrameRange
from inbetween.v1.render_pb2 import StartJobRequest
from inbetween.v1.render_pb2_grpc import RenderServiceStub
from inbetween.v1.session_pb2 import (
    Clip,
    FrameState,
    GetSessionRequest,
    Job,
    JobState,
    KeyFrame,
    OpenSessionRequest,
    Session,
    SetKeyFramesRequest,
    WatchRequest,
    WatchResponse,
)
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    TranslationSettings,
)
from numpy.typing import NDArray

from server.serving import RunningServer
from tests.patience import PATIENCE_SECONDS

Pixels = NDArray[np.uint8]
ENDED = (JobState.JOB_STATE_DONE, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED)
QUICK = Settings(
    keys=KeySettings(key_interval=0),
    translation=TranslationSettings(painter="style", prompt="mosaic", strength=0.8),
    propagation=PropagationSettings(quality="draft"),
)


@dataclass(frozen=True)
class Caller:
    """Calls a server as any client does."""

    sessions: SessionServiceStub
    render: RenderServiceStub

    @classmethod
    def on(cls, channel: grpc.Channel) -> "Caller":
        return cls(SessionServiceStub(channel), RenderServiceStub(channel))

    def open(self, clip: Path, keys: Sequence[int] = (), settings: Settings = QUICK) -> Session:
        """A new session of a clip with key frames at those frames."""
        request = OpenSessionRequest(clip=Clip(media_path=str(clip)), settings=settings, fresh=True)
        session = self.sessions.OpenSession(request).session
        return self.set_keys(session.id, keys) if keys else session

    def set_keys(self, session_id: str, keys: Sequence[int]) -> Session:
        request = SetKeyFramesRequest(
            session_id=session_id, key_frames=[KeyFrame(index=index) for index in keys]
        )
        return self.sessions.SetKeyFrames(request).session

    def run(
        self, session_id: str, frames: tuple[int, int] | None = None, *, keys_only: bool = False
    ) -> Job:
        """Renders, and returns the job as it ended."""
        return list(self.follow(session_id, frames, keys_only=keys_only))[-1]

    def follow(
        self, session_id: str, frames: tuple[int, int] | None = None, *, keys_only: bool = False
    ) -> Iterator[Job]:
        span = FrameRange(first=frames[0], last=frames[1]) if frames else None
        request = StartJobRequest(session_id=session_id, range=span, keys_only=keys_only)
        with self.watching(session_id) as events:
            next(events)
            yield from jobs_until_end(events, self.render.StartJob(request).job.id)

    @contextmanager
    def watching(self, session_id: str) -> Iterator[Iterator[WatchResponse]]:
        call: Any = self.sessions.Watch(
            WatchRequest(session_id=session_id), timeout=PATIENCE_SECONDS
        )
        try:
            yield call
        finally:
            call.cancel()

    def states(self, session_id: str) -> list[str]:
        """The state of each frame, by its name."""
        runs = self.sessions.GetSession(GetSessionRequest(session_id=session_id)).frames
        names = [FrameState.Name(run.state).removeprefix("FRAME_STATE_") for run in runs]
        return [
            name
            for name, run in zip(names, runs, strict=True)
            for _ in range(run.range.first, run.range.last + 1)
        ]


def jobs_until_end(events: Iterator[WatchResponse], job_id: str) -> Iterator[Job]:
    """A job at each of its changes, as a watcher hears of them."""
    for event in events:
        if event.job.id == job_id:
            yield event.job
            if event.job.state in ENDED:
                return


@pytest.fixture(scope="session")
def caller(render_server: RunningServer) -> Iterator[Caller]:
    with grpc.insecure_channel(render_server.address) as channel:
        yield Caller.on(channel)


def children(process: int) -> list[int]:
    """The processes that it started."""
    return [
        int(child)
        for listed in Path(f"/proc/{process}/task").glob("*/children")
        for child in listed.read_text().split()
    ]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For a server of one test: a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="inbetween-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def footage(bunny: Path) -> list[Pixels]:
    """12 real frames at 96x64, RGB."""
    return read_small(bunny, 12)


@pytest.fixture(scope="session")
def tiny_clip(footage: list[Pixels], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of 96x64 as a movie."""
    return write_movie(tmp_path_factory.mktemp("clips") / "tiny.mp4", footage)


@pytest.fixture(scope="session")
def two_shot_footage(footage: list[Pixels], carphone: Path) -> list[Pixels]:
    """12 real frames at 96x64, RGB, with a cut at 6."""
    return footage[:6] + read_small(carphone, 6)


@pytest.fixture(scope="session")
def two_shots(two_shot_footage: list[Pixels], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a movie."""
    return write_movie(tmp_path_factory.mktemp("clips") / "shots.mp4", two_shot_footage)


def read_small(path: Path, count: int) -> list[Pixels]:
    with av.open(str(path)) as source:
        frames = islice(source.decode(video=0), count)
        small = [frame.reformat(width=96, height=64, format="rgb24") for frame in frames]
    return [np.asarray(frame.to_ndarray(), np.uint8) for frame in small]


def write_movie(path: Path, frames: Sequence[Pixels]) -> Path:
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for pixels in frames:
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))
    return path
