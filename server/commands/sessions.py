"""`inbetween sessions`: what the server keeps, and how to have less of it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import typer
from inbetween.v1.session_pb2 import (
    Clip,
    FrameRun,
    FrameState,
    KeyFrame,
    KeyFrameState,
    Placement,
    Session,
)
from inbetween.v1.settings_pb2 import Settings
from inbetween.v1.upkeep_pb2 import SessionUsage
from rich.filesize import decimal

from engine.errors import InvalidValueError, NotFoundError
from engine.settings import RenderSettings
from server.client import Client, connect
from server.commands.tables import print_table
from server.errors import NotPossibleNowError
from server.settings import settings_message

SECONDS_PER_DAY = 86_400
HEADINGS = ("session", "clip", "frames", "key frames", "on disk", "last use", "state")
STATES = {
    FrameState.FRAME_STATE_READY: "ready",
    FrameState.FRAME_STATE_RENDERING: "rendering",
    FrameState.FRAME_STATE_OUT_OF_DATE: "out of date",
    FrameState.FRAME_STATE_MISSING: "missing",
    FrameState.FRAME_STATE_FAILED: "failed",
    FrameState.FRAME_STATE_SOURCE: "source",
}
KEY_STATES = {
    KeyFrameState.KEY_FRAME_STATE_UNPAINTED: "unpainted",
    KeyFrameState.KEY_FRAME_STATE_OUT_OF_DATE: "out of date",
    KeyFrameState.KEY_FRAME_STATE_READY: "ready",
    KeyFrameState.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER: "painted against an older key frame",
}


def list_sessions() -> None:
    """Prints a line for each session."""
    with connect() as client:
        rows = [_row(client, usage) for usage in client.measure_sessions()]
    if rows:
        print_table([HEADINGS, *rows])
    else:
        typer.echo("There are no sessions yet: inbetween render makes one.")


def show_session(session_id: str) -> None:
    """Prints all about a session."""
    with connect() as client:
        answer = client.session(session_id)
        (usage,) = client.measure_sessions(session_id)
    print_table(_facts(answer.session, _states(answer.frames), usage))


def delete_session(session_id: str, *, ask: bool) -> None:
    """Deletes a session once it is clear what goes with it."""
    with connect() as client:
        (usage,) = client.measure_sessions(session_id)
        _confirm(client, [usage], ask=ask)
        freed = client.delete_session(session_id)
    typer.echo(f"{decimal(freed)} are free.")


def clean_sessions(session_id: str, older_than_days: int | None, *, ask: bool) -> None:
    """Deletes what can be made again, or the sessions that were not used for so long."""
    if session_id and older_than_days is not None:
        raise InvalidValueError(
            f"--older-than looks at all sessions: leave {session_id} out, or use inbetween "
            "sessions delete."
        )
    if older_than_days is None and not ask:
        raise InvalidValueError("--yes does nothing without --older-than: leave it out.")
    with connect() as client:
        if older_than_days is not None:
            _delete_older(client, older_than_days, ask=ask)
            return
        answer = client.clean_sessions(session_id)
    typer.echo(f"{decimal(answer.freed_bytes)} are free. Takes and results are still there.")
    for busy in answer.busy_session_ids:
        typer.echo(_busy_text(busy))


def losses(client: Client, usages: Sequence[SessionUsage]) -> Iterator[str]:
    """What goes with those sessions, a line each, what nothing brings back among it."""
    for usage in usages:
        session = client.session(usage.session_id).session
        yield (
            f"{session.id}: {clip_name(session.clip)}, {_count(session.key_frames, 'key frame')}, "
            f"{_plural(usage.takes, 'take')}, {_plural(usage.finished_frames, 'finished frame')}, "
            f"{decimal(_bytes(usage))}."
        )
        if usage.imported_frames:
            frames = ", ".join(map(str, usage.imported_frames))
            yield f"  Painted by hand, and nothing can make it again: frame {frames}."


def clip_name(clip: Clip) -> str:
    """For people."""
    if clip.media_path:
        return Path(clip.media_path).name
    return f"{Path(clip.host.identity).name} in {clip.host.application}"


def _delete_older(client: Client, days: int, *, ask: bool) -> None:
    latest = time.time() - days * SECONDS_PER_DAY
    old = [usage for usage in client.measure_sessions() if usage.used_at < latest]
    if not old:
        typer.echo(f"No session was left unused for {_plural(days, 'day')}.")
        return
    _confirm(client, old, ask=ask)
    freed = 0
    try:
        for usage in old:
            try:
                freed += client.delete_session(usage.session_id)
            except NotPossibleNowError:
                typer.echo(_busy_text(usage.session_id))
            except NotFoundError:
                continue  # Somebody else was quicker.
    finally:
        typer.echo(f"{decimal(freed)} are free.")


def _busy_text(session_id: str) -> str:
    return f"Session {session_id} is being rendered and was left as it is."


def _confirm(client: Client, usages: Sequence[SessionUsage], *, ask: bool) -> None:
    for line in losses(client, usages):
        typer.echo(line)
    if ask:
        typer.confirm(f"Delete {_count(usages, 'session')}?", abort=True)


def _facts(session: Session, states: str, usage: SessionUsage) -> Iterator[tuple[str, str]]:
    clip = session.clip
    yield "session", session.id
    yield "clip", clip.media_path or clip_name(clip)
    yield "frames", f"{_range(clip)}, {clip.size.width}x{clip.size.height}; {states}"
    yield from _named("settings", _changed(session.settings))
    yield from _named("key frames", map(_key_frame, session.key_frames))
    yield "takes", f"{usage.takes}, {decimal(usage.takes_bytes)}"
    if usage.imported_frames:
        yield "by hand", f"paintings of frame {', '.join(map(str, usage.imported_frames))}"
    yield "results", f"{_plural(usage.finished_frames, 'frame')}, {decimal(usage.sequence_bytes)}"
    if usage.source_bytes:
        yield "source", f"frames of the host, {decimal(usage.source_bytes)}"
    yield "work", f"{decimal(usage.work_bytes)} that can be made again: inbetween sessions clean"
    yield "last use", _day(usage.used_at)
    yield "folder", usage.folder


def _named(name: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The name stands before the first of the lines."""
    for number, line in enumerate(list(lines) or ["none"]):
        yield "" if number else name, line


def _changed(settings: Settings) -> Iterator[str]:
    defaults = settings_message(RenderSettings())
    for group, values in settings.ListFields():
        usual = getattr(defaults, group.name)
        for field, value in values.ListFields():
            if value != getattr(usual, field.name):
                yield f"{field.name.replace('_', '-')}: {value}"


def _key_frame(key: KeyFrame) -> str:
    placed = "by the interval" if key.placement == Placement.PLACEMENT_AUTOMATIC else "by hand"
    state = KEY_STATES.get(key.state, "unknown")
    return f"{key.index}: placed {placed}, {_count(key.takes, 'take')}, {state}"


def _bytes(usage: SessionUsage) -> int:
    return usage.source_bytes + usage.work_bytes + usage.takes_bytes + usage.sequence_bytes


def _row(client: Client, usage: SessionUsage) -> Sequence[str]:
    answer = client.session(usage.session_id)
    session = answer.session
    return (
        session.id,
        clip_name(session.clip),
        _range(session.clip),
        str(len(session.key_frames)),
        decimal(_bytes(usage)),
        _day(usage.used_at),
        _states(answer.frames),
    )


def _range(clip: Clip) -> str:
    return f"{clip.range.first}-{clip.range.last}"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _count(things: Sequence[object], word: str) -> str:
    return _plural(len(things), word)


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _states(runs: Iterable[FrameRun]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        name = STATES.get(run.state, "unknown")
        counts[name] = counts.get(name, 0) + run.range.last - run.range.first + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())
