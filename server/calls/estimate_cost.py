"""What a render would cost, without doing it."""

from dataclasses import replace

from inbetween.v1.render_pb2 import EstimateCostRequest, EstimateCostResponse

from engine.plan import check_key_frames
from server.convert import key_frame_of, range_asked
from server.jobs import Jobs
from server.planning import count, key_frames_only, make_lenient_plan, without_delivered
from server.session import Session
from server.views import cost_message


def estimate_cost(
    session: Session, jobs: Jobs, request: EstimateCostRequest
) -> EstimateCostResponse:
    """Counts the steps that are to be done and those that are there already."""
    _, inputs = session.snapshot()
    frames = range_asked(request, inputs.facts.frame_range)
    if request.HasField("key_frames"):
        wanted = tuple(key_frame_of(key) for key in request.key_frames.key_frames)
        check_key_frames(inputs.facts.frame_range, (key.index for key in wanted))
        inputs = replace(inputs, key_frames=wanted)
    delivered = {index: frame.address for index, frame in session.sequence.items()}
    plan = make_lenient_plan(inputs, frames, renew=request.renew)
    if request.keys_only:
        plan = key_frames_only(plan, frames)
    plan, finished = without_delivered(plan, delivered)
    to_do = [step for step in plan.steps if not session.folder.has(step.address)]
    there = [step for step in plan.steps if session.folder.has(step.address)]
    outlook = jobs.foretold(session, frames, to_do)
    return EstimateCostResponse(
        to_do=cost_message(count(to_do)),
        reused=cost_message(count([*finished, *there])),
        seconds=outlook.seconds_left,
        rough=outlook.is_rough,
    )
