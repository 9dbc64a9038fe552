"""A key frame while it is painted: seen by whoever looks, cancelled at once, and lost alone."""

import os
import signal
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from inbetween.v1.render_pb2 import CancelJobRequest
from inbetween.v1.session_pb2 import (
    Job,
    JobState,
    Session,
    Stage,
    WatchRequest,
    WatchResponse,
)
from safetensors.numpy import load_file

import server.work.worker
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.server.conftest import ENDED, QUICK
from tests.slow_server import SlowServer, slow_server


@pytest.fixture(scope="module")
def slow() -> Iterator[SlowServer]:
    with slow_server() as running:
        yield running


def watched(slow: SlowServer, session: Session, *, previews: bool) -> Generator[WatchResponse]:
    """What a watcher is told until the session's job ends."""
    request = WatchRequest(session_id=session.id, previews=previews)
    call: Any = slow.caller.sessions.Watch(request, timeout=PATIENCE_SECONDS)
    try:
        for event in call:
            yield event
            if event.job.state in ENDED:
                return
    finally:
        call.cancel()


def paint(slow: SlowServer, session: Session, *, previews: bool) -> list[WatchResponse]:
    """Paints the key frames of a session; what a watcher was told."""
    events = watched(slow, session, previews=previews)
    told = [next(events)]
    slow.start(session)
    told += events
    assert told[-1].job.state == JobState.JOB_STATE_DONE, told[-1].job.error
    return told


def takes(session: Session) -> dict[str, bytes]:
    """Pictures, and the latents that belong to them."""
    folder = Path(session.folder).parent / "takes"
    pictures = {path.name: path.read_bytes() for path in folder.glob("*.exr")}
    latents = {path.name: load_file(path) for path in folder.glob("*.safetensors")}
    assert len(pictures) == len(latents) == len(session.key_frames)
    return pictures | {
        f"{name} {key}": values.tobytes()
        for name, arrays in latents.items()
        for key, values in arrays.items()
    }


def test_a_take_is_the_same_whether_somebody_watched_and_unwatched_no_preview_is_made(
    slow: SlowServer, tiny_clip: Path
) -> None:
    made = slow.folder / "previews were made"
    slow.be_slow()
    unwatched = slow.open(tiny_clip, [0, 5])
    told = paint(slow, unwatched, previews=False)
    assert not any(event.HasField("preview") for event in told)
    assert not made.exists()
    slow.be_slow("predict")  # a watcher is told the newest preview, not every one
    seen = slow.open(tiny_clip, [0, 5])
    told = paint(slow, seen, previews=True)
    assert {event.preview.frame for event in told if event.HasField("preview")} == {0, 5}
    assert made.exists()
    assert takes(seen) == takes(unwatched)


def test_a_preview_is_small_comes_while_its_frame_is_painted_and_is_gone_with_the_take(
    slow: SlowServer, tiny_clip: Path
) -> None:
    slow.be_slow("predict")
    session = slow.open(tiny_clip, [3])
    told = paint(slow, session, previews=True)
    job = Job()
    seen = []
    for event in told:
        if event.HasField("job"):
            job = event.job
        elif event.HasField("preview"):
            assert (job.stage, job.frame) == (Stage.STAGE_PAINTING, event.preview.frame)
            seen.append(event.preview)
    assert len(seen) >= 3
    for preview in seen:
        picture = cv2.imdecode(np.frombuffer(preview.picture, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (16, 24, 3)
        assert len(preview.picture) < 20_000
    assert slow.running.jobs.preview(session.id) is None


def test_who_comes_late_sees_the_newest_preview_and_previews_end_with_the_last_who_looks(
    slow: SlowServer, tiny_clip: Path
) -> None:
    slow.be_slow("predict")
    session = slow.open(tiny_clip, [3], steps=30, strength=1.0)
    first = watched(slow, session, previews=True)
    next(first)
    job_id = slow.start(session)
    list(_until_preview(first, 2))
    late = watched(slow, session, previews=True)
    (newest,) = _until_preview(late, 1)
    assert newest == slow.running.jobs.preview(session.id)
    first.close()
    late.close()

    def two_steps_bring_no_preview() -> bool:
        last, begun = slow.running.jobs.preview(session.id), slow.calls_begun()
        wait_until(lambda: slow.calls_begun() >= begun + 3)
        return slow.running.jobs.preview(session.id) is last

    wait_until(two_steps_bring_no_preview)
    assert slow.running.jobs.get(job_id).state == JobState.JOB_STATE_RUNNING
    slow.caller.render.CancelJob(CancelJobRequest(job_id=job_id))


def _until_preview(events: Iterator[WatchResponse], count: int) -> Iterator[Any]:
    for event in events:
        if event.HasField("preview"):
            yield event.preview
            count -= 1
        if not count:
            return


def test_steps_are_counted_from_the_first_to_the_last_and_the_fraction_grows_with_them(
    slow: SlowServer, tiny_clip: Path
) -> None:
    slow.be_slow("predict")
    told = paint(slow, slow.open(tiny_clip, [3]), previews=False)
    painting = [e.job for e in told if e.job.stage == Stage.STAGE_PAINTING and e.job.steps]
    steps = painting[-1].steps
    assert {job.step for job in painting} == set(range(1, steps + 1))
    fractions = [event.job.fraction for event in told if event.HasField("job")]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= steps


def has_come_to(job: Job, step: int) -> bool:
    """A step below 0 is counted from the last one, 0 is the time before the first one."""
    if not step or not job.steps:
        return not step
    return job.step >= (step if step > 0 else job.steps + 1 + step)


@pytest.mark.parametrize(
    ("slowed", "keys", "settings", "at_step"),
    [
        ("predict", [3], {"steps": 30}, 3),
        ("predict", [0, 3], {"steps": 12}, -3),  # from the last one: in the second pass
        ("predict", [3], {"steps": 30, "match_colors": True}, 4),
        ("encode", [3], {}, 0),
        # Between both passes: what the first one made is decoded and encoded five times.
        ("predict encode decode", [0, 3], {"steps": 6, "strength": 1.0}, 6),
        ("predict decode", [3], {}, -1),
    ],
    ids=[
        "first pass",
        "second pass",
        "drawing of the colours",
        "encoding",
        "between the passes",
        "decoding",
    ],
)
def test_a_cancelled_painting_ends_within_a_step_and_its_worker_paints_the_next(
    slow: SlowServer,
    tiny_clip: Path,
    slowed: str,
    keys: list[int],
    settings: dict[str, Any],
    at_step: int,
) -> None:
    slow.be_slow()
    paint(slow, slow.open(tiny_clip, [1], steps=1), previews=False)  # the worker has its model
    worker = slow.running.jobs.worker_process_id
    session = slow.open(tiny_clip, keys, **settings)
    for key in keys[:-1]:
        slow.caller.run(session.id, (key, key), keys_only=True)
    slow.be_slow(*slowed.split())
    cancelled = False
    for job in slow.caller.follow(session.id, keys_only=True):
        is_there = job.stage == Stage.STAGE_PAINTING and job.frame == keys[-1]
        if is_there and has_come_to(job, at_step) and not cancelled:
            slow.caller.render.CancelJob(CancelJobRequest(job_id=job.id))
            cancelled = True
            begun_before = slow.calls_begun()
    assert job.state == JobState.JOB_STATE_CANCELLED
    # One more may have begun while the worker was told.
    assert slow.calls_begun() - begun_before <= 1
    slow.be_slow()
    again = slow.caller.run(session.id, keys_only=True)
    assert (again.state, again.done.paintings) == (JobState.JOB_STATE_DONE, 1)
    assert slow.running.jobs.worker_process_id == worker


def test_a_cancelled_job_whose_worker_comes_to_no_step_ends_all_the_same(
    slow: SlowServer, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.work.worker, "PATIENCE_SECONDS", 1.0)
    if worker := slow.running.jobs.worker_process_id:
        os.kill(worker, signal.SIGKILL)  # the next one has to load its model
        os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    slow.be_slow("load")
    session = slow.open(tiny_clip, [3], steps=1)
    for job in slow.caller.follow(session.id, keys_only=True):
        if job.stage == Stage.STAGE_LOADING_MODEL:
            slow.caller.render.CancelJob(CancelJobRequest(job_id=job.id))
    assert (job.state, job.error) == (JobState.JOB_STATE_CANCELLED, "")
    slow.be_slow()
    assert slow.caller.run(session.id, keys_only=True).state == JobState.JOB_STATE_DONE


def test_a_worker_killed_while_it_paints_costs_that_job_only(
    slow: SlowServer, tiny_clip: Path
) -> None:
    session = slow.open(tiny_clip, [0, 5], steps=40)
    other = slow.caller.open(tiny_clip, [2], QUICK)
    waiting = ""
    for job in slow.caller.follow(session.id, keys_only=True):
        if job.frame == 5:  # while it is painted, the first one is saved
            slow.be_slow("predict")
        if job.frame == 5 and job.step >= 2 and job.done.paintings == 1 and not waiting:
            waiting = slow.start(other)
            worker = slow.running.jobs.worker_process_id
            assert worker is not None
            os.kill(worker, signal.SIGKILL)
    assert job.state == JobState.JOB_STATE_FAILED
    assert job.error.startswith("The render process was killed")
    ended = partial(slow.running.jobs.get, waiting)
    wait_until(lambda: ended().state in ENDED)
    assert ended().state == JobState.JOB_STATE_DONE
    slow.be_slow()
    again = slow.caller.run(session.id, keys_only=True)
    assert (again.done.paintings, again.reused.paintings) == (1, 1)
