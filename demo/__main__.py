"""`python -m demo`: sixty frames of a real clip through effect, server, key frames and in-betweens.

The OpenFX effect runs in the host of the tests, as it would in an editor: its buttons place key
frames and start the render, which the render server does; the host then renders every frame
through the effect. What is left in demo/ is the result, a contact sheet, a picture of the panel
on the same session, and the figures.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from inbetween.v1.session_pb2 import Job, JobState
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.yardstick import default_clip
from demo.contact_sheet import write_contact_sheet
from engine.errors import InbetweenError
from engine.media.writer import open_writer
from engine.metrics import pixel_mse
from engine.motion.flow import DisFlow
from engine.types import Clip, FloatArray, Frame, FrameRange, FrameSize
from server.client import connect
from server.commands.progress import STAGES, ProgressDisplay
from server.launcher import stop_server
from tests.ofx_host.host import Effect, HostError, OfxHost

FOLDER = Path(__file__).parent
FRAME_RATE = Fraction(25)
ADD_KEY, RENDER_CLIP, SESSION = "add_key", "render_clip", "session_id"

Picture = NDArray[np.uint8]
"""[H, W, 3], sRGB."""


@dataclass(frozen=True)
class Shot:
    """What is rendered of Big Buck Bunny."""

    size: FrameSize
    frames: int
    """As many from the beginning."""
    key_frames: tuple[int, ...]
    prompt: str = "starry night"


SHOT = Shot(FrameSize(640, 360), frames=60, key_frames=(0, 14, 37, 52))


@dataclass(frozen=True)
class Rendering:
    """What went through the chain."""

    sources: Sequence[Picture]
    results: Sequence[Picture]
    job: Job
    session_id: str
    delivery_seconds: float
    """From the finished render to the last frame in the host."""


def main() -> int:
    """Runs the chain and prints what it took; the exit code."""
    began = time.monotonic()
    try:
        rendering = run(SHOT, FOLDER)
    except (InbetweenError, HostError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print_figures(SHOT, rendering, time.monotonic() - began)
    return 0


def run(shot: Shot, folder: Path) -> Rendering:
    """Renders a shot through the whole chain and writes its pictures into `folder`.

    Raises InbetweenError and HostError, in one sentence each.
    """
    with private_server():
        rendering = render_in_host(shot)
        write_movie(folder / "out.mp4", rendering.results)
        write_contact_sheet(
            folder / "contact_sheet.png", rendering.sources, rendering.results, shot.key_frames
        )
        photograph_panel(folder / "panel.png", rendering.session_id, frame=shot.frames // 2)
    return rendering


@contextmanager
def private_server() -> Iterator[None]:
    """A place of its own for the server that the effect will start."""
    with tempfile.TemporaryDirectory(prefix="inbetween-demo-") as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        os.environ["INBETWEEN_RUNTIME_DIR"] = str(runtime)
        os.environ["INBETWEEN_HOME"] = str(Path(folder) / "home")
        try:
            yield
        finally:
            stop_server()


def render_in_host(shot: Shot) -> Rendering:
    """Places the key frames and renders, by the buttons of the effect."""
    with OfxHost() as host:
        clip = host.feed_movie(default_clip(), shot.size, count=shot.frames)
        host.load()
        effect = host.create()
        effect.set("prompt", shot.prompt)
        effect.set("key_interval", 0)
        for index in shot.key_frames:
            effect.press(ADD_KEY, index)
        effect.press(RENDER_CLIP)
        session_id = str(effect.get(SESSION))
        job = follow(session_id)
        began = time.monotonic()
        results = rendered(effect, shot.frames)
        delivery_seconds = time.monotonic() - began
    return Rendering(list(clip[..., :3]), results, job, session_id, delivery_seconds)


def follow(session_id: str) -> Job:
    """Shows the job that the effect started, to its end. Raises InbetweenError where it fails."""
    with connect(start=False) as client, ProgressDisplay() as display:
        for job in client.run_job(session_id):
            display.job(job)
    if job.state != JobState.JOB_STATE_DONE:
        raise InbetweenError(job.error or "The render was cancelled.")
    return job


def rendered(effect: Effect, count: int) -> list[Picture]:
    """Every frame, as the effect hands it to the host."""
    frames = effect.render(range(count))
    failed = [frame.time for frame in frames if frame.status]
    if failed:
        raise HostError(f"The effect failed at frames {failed}.")
    return [frame.pixels[..., :3] for frame in frames]


def write_movie(path: Path, pictures: Sequence[Picture]) -> None:
    """Writes the result as a movie."""
    height, width = pictures[0].shape[:2]
    frames = FrameRange(0, len(pictures) - 1)
    clip = Clip(path.name, frames, FrameSize(width, height), FRAME_RATE)
    path.unlink(missing_ok=True)
    writer = open_writer(path, clip, frames, sound_from=None)
    try:
        for index, picture in enumerate(pictures):
            pixels = np.ones((*picture.shape[:2], 4), np.float32)
            pixels[..., :3] = picture / np.float32(255)
            writer.write(Frame(index, pixels))
    finally:
        writer.close()


def photograph_panel(path: Path, session_id: str, frame: int) -> None:
    """A picture of the panel on the session. Raises InbetweenError where it could not be taken."""
    options = ["--session", session_id, "--screenshot", str(path), "--frame", str(frame)]
    taken = subprocess.run(
        [sys.executable, "-m", "panel", *options],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if taken.returncode:
        raise InbetweenError(f"The panel gave no picture: {taken.stderr.strip()}")


def print_figures(shot: Shot, rendering: Rendering, seconds: float) -> None:
    """The table at the end."""
    flow = DisFlow()
    sources, results = in_floats(rendering.sources), in_floats(rendering.results)
    job = rendering.job
    table = Table(show_header=False)
    table.add_row("clip", "Big Buck Bunny, Blender Foundation, CC-BY 3.0")
    table.add_row("prompt", f"{shot.prompt} (the built-in diffusion model)")
    table.add_row("frames", f"{shot.frames} of {shot.size}")
    table.add_row("key frames", ", ".join(map(str, shot.key_frames)))
    table.add_row("propagations", str(job.done.propagations))
    for stage in job.stage_seconds:
        table.add_row(STAGES[stage.stage].lower(), f"{stage.seconds:.1f} s")
    table.add_row("frames into the host", f"{rendering.delivery_seconds:.1f} s")
    table.add_row("everything", f"{seconds:.1f} s")
    table.add_row("Pixel-MSE of the source", f"{pixel_mse(sources, sources, flow).mean:.5f}")
    table.add_row("Pixel-MSE of the result", f"{pixel_mse(results, sources, flow).mean:.5f}")
    table.add_row("written", "demo/out.mp4, demo/contact_sheet.png, demo/panel.png")
    Console().print(table)


def in_floats(pictures: Sequence[Picture]) -> list[FloatArray]:
    """From 0..255 to 0..1."""
    return [np.asarray(picture / np.float32(255), np.float32) for picture in pictures]


if __name__ == "__main__":
    sys.exit(main())
