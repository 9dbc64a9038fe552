"""Jobs, done by the real engine in a real worker process."""

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1.frame_pb2 import PIXEL_TYPE_FLOAT32, FrameRange
from inbetween.v1.render_pb2 import (
    PICTURE_RESULT,
    CancelJobRequest,
    EstimateCostRequest,
    KeyFrames,
    ReadFrameRequest,
    StartJobRequest,
)
from inbetween.v1.session_pb2 import (
    Clip,
    Cost,
    GetSessionRequest,
    JobState,
    KeyFrame,
    MoveKeyFrameRequest,
    OpenSessionRequest,
)
from inbetween.v1.settings_pb2 import Settings, TranslationSettings

from engine.media.exr import read_exr
from server.serving import RunningServer, ServerOptions, serve
from tests.patience import assert_ends
from tests.server.conftest import QUICK, Caller


def figures(cost: Cost) -> tuple[int, int, int]:
    return cost.paintings, cost.propagations, cost.blends


def test_moving_a_key_frame_repaints_it_and_its_two_intervals_and_nothing_else(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0, 4, 8, 11])
    first = caller.run(session.id)
    assert first.state == JobState.JOB_STATE_DONE, first.error
    assert figures(first.done) == (4, 16, 8)
    assert caller.states(session.id) == ["READY"] * 12

    request = EstimateCostRequest(
        session_id=session.id,
        key_frames=KeyFrames(key_frames=[KeyFrame(index=index) for index in (0, 5, 8, 11)]),
    )
    cost = caller.render.EstimateCost(request)
    caller.sessions.MoveKeyFrame(
        MoveKeyFrameRequest(session_id=session.id, from_index=4, to_index=5)
    )
    assert caller.states(session.id) == (
        ["READY"] + ["OUT_OF_DATE"] * 7 + ["READY"] + ["READY"] * 3
    )
    second = caller.run(session.id)
    # What key frames 0 and 8 were carried to before is still of use.
    assert figures(second.done) == figures(cost.to_do) == (1, 7, 6)
    assert figures(second.reused) == figures(cost.reused) == (3, 9, 2)
    assert cost.seconds > 0
    assert caller.states(session.id) == ["READY"] * 12

    back = MoveKeyFrameRequest(session_id=session.id, from_index=5, to_index=4)
    caller.sessions.MoveKeyFrame(back)
    third = caller.run(session.id)
    assert figures(third.done) == (0, 0, 0)


def test_a_clip_with_one_key_frame_is_propagated_to_both_ends(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[5])
    job = caller.run(session.id)
    assert figures(job.done) == (1, 11, 0)
    assert caller.states(session.id) == ["READY"] * 12


def test_the_sequence_lies_in_the_folder_with_what_is_needed_to_repeat_it(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[2, 4])
    caller.run(session.id, (2, 4))
    sequence = Path(session.folder)
    assert sorted(path.name for path in sequence.glob("*.exr")) == [
        f"{index:06d}.exr" for index in (2, 3, 4)
    ]
    planes = read_exr(sequence / "000003.exr")
    assert {plane.shape for plane in planes.values()} == {(64, 96)}
    described = json.loads((sequence / "render.json").read_text())
    assert described["session"]["settings"]["translation"]["prompt"] == "mosaic"
    assert described["sequence"]["3"]["address"]
    assert described["versions"]["method"]
    for take in described["takes"]:
        beside = sequence.parent / "takes" / f"{take['address']}.json"
        assert json.loads(beside.read_text())["paint"]["settings"]["prompt"] == "mosaic"


def test_the_picture_that_is_read_is_the_take_at_a_key_frame(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[2])
    caller.run(session.id, (2, 2))
    parts = list(
        caller.render.ReadFrame(
            ReadFrameRequest(
                session_id=session.id,
                index=2,
                picture=PICTURE_RESULT,
                pixel_type=PIXEL_TYPE_FLOAT32,
            )
        )
    )
    pixels = np.frombuffer(b"".join(part.frame.pixels for part in parts), "<f4")
    (take,) = (Path(session.folder).parent / "takes").glob("*.exr")
    planes = read_exr(take)
    expected = np.stack([planes[name] for name in "RGB"], axis=-1)
    # Half precision, once in sRGB and once in linear light.
    np.testing.assert_allclose(pixels.reshape(64, 96, 4)[..., :3], expected, atol=2e-3)


def test_a_shot_without_key_frames_stays_source(caller: Caller, two_shots: Path) -> None:
    session = caller.open(two_shots, keys=[4])
    caller.run(session.id)
    found = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert list(found.cuts) == [6]
    assert [key.index for key in found.key_frames] == [4]
    assert caller.states(session.id) == ["READY"] * 6 + ["SOURCE"] * 6


def test_automatic_key_frames_follow_the_cuts_once_they_are_known(
    caller: Caller, two_shots: Path
) -> None:
    settings = Settings()
    settings.CopyFrom(QUICK)
    settings.keys.key_interval = 20
    session = caller.open(two_shots, settings=settings)
    assert [key.index for key in session.key_frames] == [0, 11]
    caller.run(session.id, keys_only=True)
    found = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert [key.index for key in found.key_frames] == [0, 5, 6, 11]
    assert caller.states(session.id)[5:7] == ["READY", "READY"]


def test_another_file_of_the_same_name_is_noticed_with_its_own_cuts(
    caller: Caller, two_shots: Path, tiny_clip: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copy(two_shots, tmp_path / "clip.mp4"))
    session = caller.open(clip, keys=[4])
    caller.run(session.id)
    shutil.copy(tiny_clip, clip)
    assert caller.run(session.id).done.paintings == 1
    found = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert list(found.cuts) == []
    assert caller.states(session.id) == ["READY"] * 12
    shutil.copy(two_shots, clip)
    assert list(caller.sessions.OpenSession(again(clip)).session.cuts) == []  # nobody looked yet
    caller.run(session.id)
    assert caller.states(session.id) == ["READY"] * 6 + ["SOURCE"] * 6


def test_a_deleted_clip_fails_its_job_and_comes_back(
    caller: Caller, tiny_clip: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copy2(tiny_clip, tmp_path / "clip.mp4"))
    session = caller.open(clip, keys=[2])
    caller.run(session.id, (2, 3))
    clip.unlink()
    gone = caller.run(session.id, (2, 4))
    assert (gone.state, gone.error) == (
        JobState.JOB_STATE_FAILED,
        f"{clip} does not exist: check its name.",
    )
    shutil.copy2(tiny_clip, clip)
    back = caller.run(session.id, (2, 4))
    assert (back.done.paintings, back.done.propagations) == (0, 1)


def again(clip: Path) -> OpenSessionRequest:
    return OpenSessionRequest(clip=Clip(media_path=str(clip)))


def test_the_same_request_finds_its_job_again(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[0, 11])
    request = StartJobRequest(session_id=session.id)
    first, second = caller.render.StartJob(request).job, caller.render.StartJob(request).job
    other = caller.render.StartJob(
        StartJobRequest(session_id=session.id, range=FrameRange(first=0, last=1))
    ).job
    assert first.id == second.id != other.id
    for job in (first, other):
        caller.render.CancelJob(CancelJobRequest(job_id=job.id))


def test_a_cancelled_job_keeps_what_is_finished(caller: Caller, small_clip: Path) -> None:
    session = caller.open(small_clip, keys=[0, 6])
    for job in caller.follow(session.id, (0, 6)):
        if job.done.propagations >= 2:
            caller.render.CancelJob(CancelJobRequest(job_id=job.id))
    assert job.state == JobState.JOB_STATE_CANCELLED
    assert 2 <= job.done.propagations < 10
    again = caller.run(session.id, (0, 6))
    assert again.state == JobState.JOB_STATE_DONE
    assert again.reused.paintings == 2
    assert again.reused.propagations == job.done.propagations


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (TranslationSettings(painter="style", prompt="no such look"), "no such look"),
        (TranslationSettings(painter="painted"), "has no painting"),
        (TranslationSettings(painter="diffusion", model="/no/such/model"), "/no/such/model"),
    ],
)
def test_what_cannot_be_painted_fails_with_its_reason(
    caller: Caller, tiny_clip: Path, settings: TranslationSettings, sentence: str
) -> None:
    session = caller.open(tiny_clip, keys=[0], settings=Settings(translation=settings))
    caller.set_keys(session.id, [0])
    assert sentence in failure(caller, session.id)


def failure(caller: Caller, session_id: str) -> str:
    """Why the session cannot be rendered, said at once or by its job."""
    try:
        return caller.run(session_id).error
    except grpc.RpcError as refusal:
        return str(refusal.details())


def test_a_clip_without_key_frames_is_not_rendered(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip)
    with pytest.raises(grpc.RpcError) as refusal:
        caller.render.StartJob(StartJobRequest(session_id=session.id))
    assert refusal.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "no key frame" in str(refusal.value.details())


def test_a_killed_worker_costs_its_job_and_no_other(
    render_server: RunningServer, caller: Caller, small_clip: Path
) -> None:
    session = caller.open(small_clip, keys=[0, 6])
    for job in caller.follow(session.id, (0, 6)):
        if job.done.propagations >= 1 and (worker := render_server.jobs.worker_process_id):
            os.kill(worker, signal.SIGKILL)
    assert job.state == JobState.JOB_STATE_FAILED
    assert job.error.startswith("The render process was killed")
    assert "FAILED" in caller.states(session.id)
    again = caller.run(session.id, (0, 6))
    assert again.state == JobState.JOB_STATE_DONE, again.error
    assert again.done.paintings == 0


def test_a_full_disk_fails_the_job_and_loses_nothing(
    render_server: RunningServer, caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0, 4])
    caller.run(session.id, (0, 0))
    worker = render_server.jobs.worker_process_id
    assert worker is not None
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    job = caller.run(session.id)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert job.state == JobState.JOB_STATE_FAILED
    assert "cannot be written" in job.error
    assert caller.states(session.id)[0] == "READY"
    assert not [
        path for path in Path(session.folder).parent.rglob("*") if path.name.startswith(".")
    ]
    again = caller.run(session.id)
    assert again.state == JobState.JOB_STATE_DONE
    assert again.reused.paintings == 1


def test_work_that_was_not_used_for_longest_makes_room_and_takes_stay(
    short_folder: Path, tiny_clip: Path
) -> None:
    options = ServerOptions(
        short_folder / "s", short_folder / "l", short_folder / "h", work_budget_bytes=0
    )
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        session = caller.open(tiny_clip, keys=[0, 4, 8])
        caller.run(session.id, (0, 4))
        caller.run(session.id, (4, 8))
        folder = Path(session.folder).parent
        assert len(list((folder / "takes").glob("*.exr"))) == 3
        assert caller.states(session.id)[:9] == ["READY"] * 9
        job = caller.run(session.id, (0, 8))
        assert figures(job.done) == (0, 0, 0)


def test_jobs_beyond_the_queue_are_refused(caller: Caller, small_clip: Path) -> None:
    session = caller.open(small_clip, keys=[0, 23])
    requests = [
        StartJobRequest(session_id=session.id, range=FrameRange(first=first, last=last))
        for first in range(12)
        for last in range(12, 24)
    ]
    with pytest.raises(grpc.RpcError) as refusal:
        [caller.render.StartJob(request) for request in requests]
    assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    for job in caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).jobs:
        caller.render.CancelJob(CancelJobRequest(job_id=job.id))


def test_the_worker_ends_with_its_server(short_folder: Path, tiny_clip: Path) -> None:
    options = ServerOptions(short_folder / "s", short_folder / "l", short_folder / "h")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        caller.run(caller.open(tiny_clip, keys=[0]).id, (0, 0))
        worker = server.jobs.worker_process_id
        assert worker is not None
    assert_ends(worker)
