"""The chosen flow estimator moves the pictures; what it lacks is said before work begins."""

from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1.render_pb2 import StartJobRequest
from inbetween.v1.session_pb2 import Job, JobState, Session, UpdateSettingsRequest
from inbetween.v1.settings_pb2 import PropagationSettings, Settings

from engine.media.exr import read_exr
from engine.types import FloatArray
from tests.server.conftest import QUICK, Caller


def choose(caller: Caller, session: Session, estimator: str, weights: str | Path = "") -> None:
    chosen = PropagationSettings(flow_estimator=estimator, flow_weights=str(weights))
    settings = Settings()
    settings.CopyFrom(QUICK)
    settings.propagation.MergeFrom(chosen)
    request = UpdateSettingsRequest(session_id=session.id, settings=settings)
    caller.sessions.UpdateSettings(request)


def render(caller: Caller, session: Session) -> Job:
    job = caller.run(session.id, (0, 3))
    assert job.state == JobState.JOB_STATE_DONE, job.error
    return job


def last_frame(session: Session) -> FloatArray:
    return read_exr(Path(session.folder) / "000003.exr")["R"]


def test_another_flow_estimator_makes_all_but_the_paintings_again(
    caller: Caller, tiny_clip: Path, gmflow_weights: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    render(caller, session)
    with_dis = last_frame(session)

    choose(caller, session, "gmflow", gmflow_weights)
    assert caller.states(session.id) == ["READY"] + ["OUT_OF_DATE"] * 3 + ["MISSING"] * 8
    job = render(caller, session)
    assert (job.done.paintings, job.done.propagations) == (0, 3)
    assert np.abs(last_frame(session) - with_dis).max() > 0.01

    choose(caller, session, "dis")
    assert render(caller, session).done.propagations == 0
    assert np.array_equal(last_frame(session), with_dis)


def test_a_flow_estimator_without_its_weights_is_refused_when_a_render_is_asked_for(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    choose(caller, session, "gmflow")
    with pytest.raises(grpc.RpcError, match="flow_weights is empty, and gmflow comes without"):
        caller.render.StartJob(StartJobRequest(session_id=session.id))


def test_a_weights_file_of_something_else_is_noticed_before_anything_is_painted(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    choose(caller, session, "gmflow", tiny_clip)
    job = caller.run(session.id, (0, 3))
    assert job.state == JobState.JOB_STATE_FAILED
    assert job.error.startswith(f'The flow_weights "{tiny_clip}" does not hold what gmflow needs')
    assert job.done.paintings == 0
