"""`inbetween sessions`: what the server knows."""

from collections.abc import Iterable
from pathlib import Path

from inbetween.v1.session_pb2 import Clip, FrameRun, FrameState, GetSessionResponse
from rich.console import Console
from rich.table import Table

from server.client import connect

STATES = {
    FrameState.FRAME_STATE_READY: "ready",
    FrameState.FRAME_STATE_RENDERING: "rendering",
    FrameState.FRAME_STATE_OUT_OF_DATE: "out of date",
    FrameState.FRAME_STATE_MISSING: "missing",
    FrameState.FRAME_STATE_FAILED: "failed",
    FrameState.FRAME_STATE_SOURCE: "source",
}


def list_sessions() -> None:
    """Prints a line for each session."""
    table = Table(box=None, pad_edge=False)
    for heading in ("session", "clip", "frames", "key frames", "state"):
        table.add_column(heading, overflow="fold")
    with connect() as client:
        for session in client.list_sessions():
            table.add_row(*_row(client.session(session.id)))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        print("There are no sessions yet: inbetween render makes one.")


def _row(answer: GetSessionResponse) -> tuple[str, ...]:
    session = answer.session
    keys = ",".join(str(key.index) for key in session.key_frames) or "none"
    frames = f"{session.clip.range.first}-{session.clip.range.last}"
    return session.id, _clip_name(session.clip), frames, keys, _states(answer.frames)


def _clip_name(clip: Clip) -> str:
    if clip.media_path:
        return Path(clip.media_path).name
    return f"{Path(clip.host.identity).name} in {clip.host.application}"


def _states(runs: Iterable[FrameRun]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        name = STATES.get(run.state, "unknown")
        counts[name] = counts.get(name, 0) + run.range.last - run.range.first + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())
