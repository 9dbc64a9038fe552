from inbetween.v1 import frame_pb2
from inbetween.v1 import session_pb2 as pb

from panel.model.frame_states import FrameStates


def _run(first: int, last: int, state: pb.FrameState.ValueType) -> pb.FrameRun:
    return pb.FrameRun(range=frame_pb2.FrameRange(first=first, last=last), state=state)


def test_a_clip_that_does_not_begin_at_zero_keeps_its_source_frames() -> None:
    frames = FrameStates(100, 109)
    frames.update([_run(103, 105, pb.FRAME_STATE_READY)])
    assert frames.at(102) == pb.FRAME_STATE_MISSING
    assert frames.at(103) == pb.FRAME_STATE_READY
    assert list(frames.runs(100, 109)) == [
        (100, 102, pb.FRAME_STATE_MISSING),
        (103, 105, pb.FRAME_STATE_READY),
        (106, 109, pb.FRAME_STATE_MISSING),
    ]


def test_runs_outside_the_clip_are_cut_off() -> None:
    frames = FrameStates(10, 19)
    frames.update([_run(0, 12, pb.FRAME_STATE_READY), _run(19, 40, pb.FRAME_STATE_FAILED)])
    assert frames.count(pb.FRAME_STATE_READY) == 3
    assert frames.count(pb.FRAME_STATE_FAILED) == 1
    assert frames.at(40) == pb.FRAME_STATE_UNSPECIFIED


def test_the_nearest_ready_frame_is_found_on_either_side() -> None:
    frames = FrameStates(0, 99)
    assert frames.nearest(50, pb.FRAME_STATE_READY) is None
    frames.update([_run(10, 12, pb.FRAME_STATE_READY), _run(60, 70, pb.FRAME_STATE_READY)])
    assert frames.nearest(11, pb.FRAME_STATE_READY) == 11
    assert frames.nearest(30, pb.FRAME_STATE_READY) == 12
    assert frames.nearest(50, pb.FRAME_STATE_READY) == 60
    assert frames.nearest(99, pb.FRAME_STATE_READY) == 70


def test_only_the_frames_that_changed_are_told() -> None:
    before = FrameStates(0, 9)
    after = before.copy()
    after.update([_run(4, 5, pb.FRAME_STATE_READY)])
    assert after.changed_from(before) == [4, 5]
    assert before.at(4) == pb.FRAME_STATE_MISSING
