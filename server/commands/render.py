"""`inbetween render`: a clip in, a movie or a sequence out."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing, contextmanager
from pathlib import Path

import typer
from inbetween.v1.session_pb2 import (
    Cost,
    Drift,
    FrameRun,
    FrameState,
    Job,
    JobState,
    KeyFrame,
    KeyFrameState,
    Placement,
    Session,
)

from engine.errors import CancelledError, InbetweenError, InvalidValueError
from engine.media.color import from_painting_space, to_painting_space
from engine.media.mask import ClipMask, open_mask, through_mask
from engine.media.picture import SizeRule, fit_picture, read_picture
from engine.media.source import FrameSource, open_source
from engine.media.writer import check_output, open_writer
from engine.motion.estimators import flow_recipe_of
from engine.plan import check_key_frames
from engine.translation.painters import recipe_of
from engine.types import Clip, Frame, FrameRange
from engine.wording import plural
from server.calls.import_painting import SIZE_RULE_OF
from server.client import Answer, Client, connect
from server.commands.key_options import OwnValues, check_own_values, with_own_values
from server.commands.options import apply_options, setting_paths
from server.commands.order import RenderOrder
from server.commands.origin import comment_of
from server.commands.progress import STAGES, ProgressDisplay, left_text
from server.effort import writing_seconds
from server.settings import settings_of

AUTOMATIC, HAND = Placement.PLACEMENT_AUTOMATIC, Placement.PLACEMENT_HAND
OLDER = KeyFrameState.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER
INTERRUPTED = 130


def render_clip(order: RenderOrder) -> None:
    """Renders, writes the result and says what was done."""
    _check_folder(order.out.parent)
    check_output(order.out, overwrite=order.overwrite, sources=order.files)
    with ProgressDisplay() as display, closing(open_source(order.clip, display.notice)) as source:
        _check_frames(source.clip.frame_range, order)
        frames = order.frames or source.clip.frame_range
        display.show("Connecting to the render server")
        with _opened_mask(order, source.clip, frames, display) as mask, connect() as client:
            display.show("Opening the clip")
            session = _prepare(client, order, source)
            try:
                writing = len(frames) * writing_seconds(source.clip.size)
                job = _run(client, session, frames, display, writing, renew=order.renew)
                session = client.session(session.id).session
                sources = _write(client, session, source, mask, order, frames, display)
            except KeyboardInterrupt:
                _say_stopped(client, session, order, frames)
                raise typer.Exit(INTERRUPTED) from None
            session = client.session(session.id).session
    _summarise(order, session, frames, job, sources)


@contextmanager
def _opened_mask(
    order: RenderOrder, clip: Clip, frames: FrameRange, display: ProgressDisplay
) -> Iterator[ClipMask | None]:
    """The mask that was asked for, with a picture for each of the frames."""
    if order.mask is None:
        yield None
        return
    with closing(open_mask(order.mask, clip, display.notice)) as mask:
        mask.check(frames)
        yield mask


def _prepare(client: Client, order: RenderOrder, source: FrameSource) -> Session:
    """The clip's session as the order wants it; what is wrong is refused before it is changed."""
    for index, painting in order.paintings.items():
        _check_painting(painting, source.read(index), SIZE_RULE_OF[order.size_rule])
    session = client.open_session(order.clip, fresh=order.fresh)
    settings = apply_options(session.settings, order.settings)
    wanted = settings_of(settings)
    recipe_of(wanted.translation)  # Raises what the painter says of them.
    flow_recipe_of(wanted.propagation)  # Likewise.
    check_own_values(order.own_values, wanted)
    if settings != session.settings:
        session = client.update_settings(session.id, settings, setting_paths(order.settings))
    if order.keys is not None:
        wanted_keys = {*order.keys, *order.own_values, *order.paintings}
        session = _replace_keys(client, session, wanted_keys)
    session = _set_own_values(client, session, order.own_values)
    for index, painting in order.paintings.items():
        session = client.import_painting(session.id, index, painting, order.size_rule)
    return session


def _check_painting(painting: Path, frame: Frame, rule: SizeRule) -> None:
    """Raises UnreadableMediaError for what is no picture, InvalidValueError for a size that the
    rule refuses.
    """
    fit_picture(read_picture(painting), to_painting_space(frame), rule)


def _check_folder(folder: Path) -> None:
    """Raises InvalidValueError for a folder that the result cannot be put into."""
    if not folder.is_dir():
        raise InvalidValueError(f"There is no folder {folder} for --out: make it, or name another.")
    if not os.access(folder, os.W_OK):
        raise InvalidValueError(f"The folder {folder} of --out cannot be written: name another.")


def _check_frames(clip: FrameRange, order: RenderOrder) -> None:
    """Raises InvalidValueError for a range and for key frames that the clip does not have."""
    check_key_frames(clip, order.keys or ())
    check_key_frames(clip, order.own_values)
    check_key_frames(clip, order.paintings)
    if order.frames and not (order.frames.first in clip and order.frames.last in clip):
        raise InvalidValueError(
            f"--range {order.frames.first}-{order.frames.last} lies outside the clip: choose "
            f"frames from {clip.first} to {clip.last}."
        )


def _replace_keys(client: Client, session: Session, wanted: Set[int]) -> Session:
    """Key frames by hand are the wanted ones; one that stands there keeps its own settings."""
    by_hand = {key.index: key for key in session.key_frames if key.placement != AUTOMATIC}
    automatic = [key for key in session.key_frames if key.placement == AUTOMATIC]
    if wanted == by_hand.keys():
        return session
    placed = [by_hand.get(index, KeyFrame(index=index, placement=HAND)) for index in wanted]
    placed += [key for key in automatic if key.index not in wanted]
    return client.set_key_frames(session, placed)


def _set_own_values(
    client: Client, session: Session, own_values: Mapping[int, OwnValues]
) -> Session:
    """Changes what key frames set for themselves; one that is not there is placed."""
    keys = {key.index: key for key in session.key_frames}
    for index, values in own_values.items():
        key = keys.get(index, KeyFrame(index=index, placement=HAND))
        keys[index] = with_own_values(key, values)
    if list(keys.values()) == list(session.key_frames):
        return session
    return client.set_key_frames(session, keys.values())


def _run(
    client: Client,
    session: Session,
    frames: FrameRange,
    display: ProgressDisplay,
    then_seconds: float,
    *,
    renew: bool,
) -> Job:
    """Follows the job to its end; Ctrl-C cancels it."""
    job = Job()
    try:
        for job in client.run_job(session.id, frames, renew=renew):
            display.job(job, then_seconds)
    except KeyboardInterrupt:
        if job.id:
            client.cancel_job(job.id)
        raise
    if job.state == JobState.JOB_STATE_CANCELLED:
        raise CancelledError(
            "The render was cancelled elsewhere: what is finished is kept, and the same command "
            "goes on from there."
        )
    if job.state == JobState.JOB_STATE_FAILED:
        raise InbetweenError(job.error)
    return job


def _say_stopped(client: Client, session: Session, order: RenderOrder, frames: FrameRange) -> None:
    runs = client.session(session.id).frames
    ready = _frames_in(runs, FrameState.FRAME_STATE_READY, frames)
    typer.echo(
        f"Stopped: {ready:,} of {plural(len(frames), 'frame')} finished and kept. The same command"
        f"{' without --fresh' if order.fresh else ''} goes on from there.",
        err=True,
    )


def _write(
    client: Client,
    session: Session,
    source: FrameSource,
    mask: ClipMask | None,
    order: RenderOrder,
    frames: FrameRange,
    display: ProgressDisplay,
) -> int:
    """Writes the result; returns how many of its frames are the source."""
    sources, began = 0, time.monotonic()
    comment = comment_of(order.clip, frames, (key.index for key in session.key_frames))
    opened = open_writer(order.out, source.clip, frames, order.clip, display.notice, comment)
    with closing(opened) as writer:
        for done, index in enumerate(frames.indices):
            left = (len(frames) - done) * _writing_pace(source.clip, done, began)
            detail = f"frame {done + 1:,} of {len(frames):,}, {left_text(left, is_rough=False)}"
            display.follow(f"Writing {order.out.name}", done / len(frames), detail)
            answer = client.read_frame(session.id, index)
            writer.write(_finished(answer, source.read(index), mask))
            sources += answer.state == FrameState.FRAME_STATE_SOURCE
    return sources


def _writing_pace(clip: Clip, done: int, began: float) -> float:
    """Seconds a frame: as is usual, and more and more as was seen."""
    usual = writing_seconds(clip.size)
    return (usual + time.monotonic() - began) / (1 + done)


def _finished(answer: Answer, source: Frame, mask: ClipMask | None) -> Frame:
    """The result in the colour space and with the alpha of its source frame, under the mask."""
    if answer.state == FrameState.FRAME_STATE_SOURCE:
        return source
    if answer.frame is None or answer.state != FrameState.FRAME_STATE_READY:
        raise CancelledError(
            f"Frame {source.index} was changed by another client while the result was written: "
            "give the same command again."
        )
    made = from_painting_space(answer.frame.pixels[..., :3], source)
    return made if mask is None else through_mask(made, source, mask.coverage(source.index))


def _frames_in(runs: Iterable[FrameRun], state: FrameState.ValueType, frames: FrameRange) -> int:
    """How many of the frames are in that state."""
    return sum(
        max(0, min(run.range.last, frames.last) - max(run.range.first, frames.first) + 1)
        for run in runs
        if run.state == state
    )


def _summarise(
    order: RenderOrder, session: Session, frames: FrameRange, job: Job, sources: int
) -> None:
    """Says what was done, on stdout."""
    typer.echo(order.out)
    typer.echo(f"  frames: {len(frames):,} ({frames.first}-{frames.last})")
    if sources:
        typer.echo(
            f"  source: {plural(sources, 'frame')} of shots without a key frame (--keys or --every "
            "places some)"
        )
    keys = [str(key.index) for key in session.key_frames if key.index in frames]
    typer.echo(f"  key frames: {', '.join(keys) or 'none'}")
    older = [str(key.index) for key in session.key_frames if key.state == OLDER]
    if older:
        typer.echo(
            f"  older: {', '.join(older)} keep paintings made against key frames that have changed "
            "since (--renew paints them again)"
        )
    for index, drift in _large_drifts(session, frames):
        typer.echo(
            f"  drift: key frame {index} has gone far from its anchor {drift.anchor_index} (colour "
            f'{drift.color:.1f}, structure {drift.structure:.3f}); --key "N: anchor=yes" marks a '
            "nearer anchor"
        )
    typer.echo(f"  made: {_cost_text(job.done)}")
    typer.echo(f"  reused: {_cost_text(job.reused)}")
    stages = (f"{STAGES[entry.stage].lower()} {entry.seconds:.1f}" for entry in job.stage_seconds)
    typer.echo(f"  seconds: {', '.join(stages)}")
    typer.echo(f"  session: {session.id}")


def _large_drifts(session: Session, frames: FrameRange) -> Iterator[tuple[int, Drift]]:
    """Key frames of the range with the drift of the take in use."""
    for key in session.key_frames:
        for take in key.takes:
            if key.index in frames and take.address == key.take and take.drift.is_large:
                yield key.index, take.drift


def _cost_text(cost: Cost) -> str:
    counts = {
        "painting": cost.paintings,
        "propagation": cost.propagations,
        "blend": cost.blends,
    }
    return ", ".join(plural(count, noun) for noun, count in counts.items())
