"""What clients see of a session."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from inbetween.v1.session_pb2 import (
    Cost,
    FrameRun,
    FrameRuns,
    FrameState,
    Job,
    JobState,
    KeyFrameState,
    Stage,
)
from inbetween.v1.session_pb2 import Drift as DriftMessage
from inbetween.v1.session_pb2 import KeyFrame as KeyFrameMessage
from inbetween.v1.session_pb2 import Session as SessionMessage
from inbetween.v1.session_pb2 import Take as TakeMessage

from engine.plan import Address, Painted, Plan
from server.convert import frame_range_of, key_frame_message, range_message, session_message
from server.planning import Work, runs, shot_has_key_frame
from server.records import TakeRecord
from server.session import Session
from server.state import PlacedKeyFrame

STAGES_AT_A_FRAME = (Stage.STAGE_PAINTING, Stage.STAGE_PROPAGATING, Stage.STAGE_BLENDING)

FrameStates = dict[int, FrameState.ValueType]


def session_view(session: Session) -> SessionMessage:
    """The session with the takes of its key frames."""
    state, plan, takes = session.state, session.overview(), session.takes
    message = session_message(state, str(session.folder.path / "sequence"))
    del message.key_frames[:]
    own_takes: defaultdict[int, list[TakeRecord]] = defaultdict(list)
    for take in takes:
        own_takes[take.frame].append(take)
    frame_of = {take.address: take.frame for take in takes}
    for placed in state.key_frames:
        message.key_frames.append(_key_frame_view(placed, own_takes[placed.index], plan, frame_of))
    return message


def frame_states(session: Session, jobs: Iterable[Job]) -> FrameStates:
    """Frame of the clip to its state, with the session's jobs in the order of their asking."""
    plan, sequence, state = session.overview(), session.sequence, session.state
    frames = state.clip.frame_range
    if plan is None:
        return {index: _unplanned(index in sequence) for index in frames.indices}
    has_key = shot_has_key_frame(frames, state.cuts or (), state.active_key_frames)
    states: dict[int, FrameState.ValueType] = {}
    for index in frames.indices:
        address = plan.pictures.get(index)
        delivered = sequence.get(index)
        if not has_key(index):
            states[index] = FrameState.FRAME_STATE_SOURCE
        elif address is not None and delivered is not None and delivered.address == address:
            states[index] = FrameState.FRAME_STATE_READY
        else:
            states[index] = _unplanned(delivered is not None)
    return states | _worked_on(states, jobs)


def frame_runs(states: FrameStates) -> FrameRuns:
    """Neighbouring frames in the same state."""
    return FrameRuns(
        runs=[FrameRun(range=range_message(frames), state=state) for frames, state in runs(states)]
    )


def cost_message(work: Work) -> Cost:
    return Cost(paintings=work.paintings, propagations=work.propagations, blends=work.blends)


def _unplanned(delivered: bool) -> FrameState.ValueType:
    return FrameState.FRAME_STATE_OUT_OF_DATE if delivered else FrameState.FRAME_STATE_MISSING


def _worked_on(states: FrameStates, jobs: Iterable[Job]) -> FrameStates:
    """The frames that a job renders now, and those at which the last job failed."""
    settled = (FrameState.FRAME_STATE_READY, FrameState.FRAME_STATE_SOURCE)
    changed: dict[int, FrameState.ValueType] = {}
    for job in jobs:
        if job.state == JobState.JOB_STATE_RUNNING and not job.keys_only:
            rendering = frame_range_of(job.range).indices
            changed |= dict.fromkeys(rendering, FrameState.FRAME_STATE_RENDERING)
        elif job.state == JobState.JOB_STATE_FAILED and job.stage in STAGES_AT_A_FRAME:
            changed[job.frame] = FrameState.FRAME_STATE_FAILED
    return {
        index: state
        for index, state in changed.items()
        if index in states and states[index] not in settled
    }


def _key_frame_view(
    placed: PlacedKeyFrame,
    takes: Sequence[TakeRecord],
    plan: Plan | None,
    frame_of: Mapping[Address, int],
) -> KeyFrameMessage:
    message = key_frame_message(placed)
    message.takes.extend(_take_view(take, frame_of) for take in takes)
    planned = plan.takes.get(placed.index) if plan else placed.key_frame.take
    references = plan.references.get(placed.index) if plan else None
    if references:
        message.anchor_index = references[0].frame
    used = next((take for take in takes if take.address == planned), None)
    if used is not None:
        message.take = used.address
        message.state = _state_of(used, references)
    elif takes:
        message.take = takes[-1].address
        message.state = KeyFrameState.KEY_FRAME_STATE_OUT_OF_DATE
    else:
        message.state = KeyFrameState.KEY_FRAME_STATE_UNPAINTED
    return message


def _state_of(used: TakeRecord, references: Sequence[Painted] | None) -> KeyFrameState.ValueType:
    """Of a key frame whose take is in use; `references` are what it would be painted against now,
    None where the editor chose the take, whatever it was painted against.
    """
    if references is None or used.painted_against == tuple(now.take for now in references):
        return KeyFrameState.KEY_FRAME_STATE_READY
    return KeyFrameState.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER


def _take_view(take: TakeRecord, frame_of: Mapping[Address, int]) -> TakeMessage:
    message = TakeMessage(
        address=take.address,
        painter=take.painter,
        prompt=take.prompt,
        seed=take.seed,
        strength=take.strength,
        painted_against=take.painted_against,
        made_at=take.made_at,
    )
    if take.drift is not None:
        message.drift.CopyFrom(
            DriftMessage(
                anchor_index=frame_of[take.painted_against[0]],
                color=take.drift.color,
                structure=take.drift.structure,
                is_large=take.drift.is_large,
            )
        )
    return message
