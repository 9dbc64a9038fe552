"""What a session's render consists of, what of it is there already, and what it costs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from engine.errors import InbetweenError
from engine.motion.estimators import flow_recipe_of
from engine.plan import (
    Address,
    Blend,
    Interval,
    Paint,
    Plan,
    Propagate,
    Recipe,
    SourceFacts,
    make_plan,
    needed_sources,
    shots,
)
from engine.settings import PropagationSettings, RenderSettings, TranslationSettings
from engine.translation.painters import recipe_of
from engine.types import FrameRange, KeyFrame
from server.records import TakeRecord
from server.state import SessionState

RecipeOf = Callable[[TranslationSettings], Recipe]
FlowRecipeOf = Callable[[PropagationSettings], str]
Step = Paint | Propagate | Blend
State = TypeVar("State", bound=int)


@dataclass(frozen=True)
class PlanInputs:
    """All that a plan depends on."""

    facts: SourceFacts
    key_frames: tuple[KeyFrame, ...]
    settings: RenderSettings
    takes: tuple[TakeRecord, ...]
    """In the order of their making."""


def make_session_plan(
    inputs: PlanInputs,
    frames: FrameRange,
    recipe_of: RecipeOf = recipe_of,
    flow_recipe_of: FlowRecipeOf = flow_recipe_of,
    *,
    renew: bool = False,
) -> Plan:
    """The plan, with the takes that today's recipe made in use, whatever they were painted against.

    A take stays valid when an earlier key frame changes: it is marked as painted against an older
    one, and the editor decides whether to paint it again. `renew` does so inside `frames`.

    Raises what the painter says of settings that it cannot paint, and the flow estimator of those
    that it cannot use.
    """
    made = {take.address for take in inputs.takes}
    newest = {(take.frame, take.recipe): take.address for take in inputs.takes}

    def take_of(paint: Paint) -> Address:
        if paint.address in made or (renew and paint.frame in frames):
            return paint.address
        return newest.get((paint.frame, paint.recipe), paint.address)

    facts, key_frames, settings = inputs.facts, inputs.key_frames, inputs.settings
    flow_recipe = flow_recipe_of(settings.propagation)
    return make_plan(facts, key_frames, settings, frames, recipe_of, flow_recipe, take_of)


def make_lenient_plan(inputs: PlanInputs, frames: FrameRange, *, renew: bool = False) -> Plan:
    """As `make_session_plan`; what cannot be made gets addresses that no picture has."""
    return make_session_plan(
        inputs, frames, _lenient_recipe_of, _lenient_flow_recipe_of, renew=renew
    )


def _lenient_recipe_of(settings: TranslationSettings) -> Recipe:
    try:
        return recipe_of(settings)
    except InbetweenError as error:
        return Recipe(f"cannot be painted: {error}")


def _lenient_flow_recipe_of(settings: PropagationSettings) -> str:
    try:
        return flow_recipe_of(settings)
    except InbetweenError as error:
        return f"cannot be estimated: {error}"


def needed_for(state: SessionState, frames: FrameRange) -> FrameRange | None:
    """The source frames that rendering `frames` needs; None without key frames."""
    return needed_sources(
        state.clip.frame_range,
        state.active_key_frames,
        frames,
        paints_against_others=_lenient_recipe_of(state.settings.translation).paints_against_others,
        cuts=state.cuts or (),
    )


def key_frames_only(plan: Plan, frames: FrameRange) -> Plan:
    """The part of a plan that paints the key frames inside `frames`."""
    takes = {index: take for index, take in plan.takes.items() if index in frames}
    needed = set(takes.values())
    for paint in reversed(plan.paints):
        if paint.address in needed:
            needed |= set(paint.painted_against)
    paints = tuple(paint for paint in plan.paints if paint.address in needed)
    return replace(plan, paints=paints, intervals=(), pictures=takes)


def without_delivered(plan: Plan, delivered: Mapping[int, Address]) -> tuple[Plan, list[Step]]:
    """The plan without the intervals whose frames the sequence holds, and their steps."""
    waiting: list[Interval] = []
    finished: list[Interval] = []
    for interval in plan.intervals:
        wanted = [step.frame for step in interval.steps if step.frame in plan.pictures]
        ready = all(delivered.get(frame) == plan.pictures[frame] for frame in wanted)
        (finished if ready else waiting).append(interval)
    steps: list[Step] = [step for interval in finished for step in interval.steps]
    return replace(plan, intervals=tuple(waiting)), steps


@dataclass(frozen=True)
class Work:
    """Steps, counted."""

    paintings: int = 0
    propagations: int = 0
    blends: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.paintings + other.paintings,
            self.propagations + other.propagations,
            self.blends + other.blends,
        )


def count(steps: Iterable[Step]) -> Work:
    kinds = [type(step) for step in steps]
    return Work(kinds.count(Paint), kinds.count(Propagate), kinds.count(Blend))


def shot_has_key_frame(
    frame_range: FrameRange, cuts: Iterable[int], key_frames: Sequence[KeyFrame]
) -> Callable[[int], bool]:
    """Tells of a frame whether its shot has a key frame."""
    covered = {
        index
        for shot in shots(frame_range, cuts)
        if any(key.index in shot for key in key_frames)
        for index in shot.indices
    }
    return covered.__contains__


def runs(states: Mapping[int, State]) -> list[tuple[FrameRange, State]]:
    """Neighbouring frames of one state, for frames without gaps."""
    grouped = groupby(sorted(states.items()), key=lambda item: item[1])
    spans = [(state, [index for index, _ in items]) for state, items in grouped]
    return [(FrameRange(indices[0], indices[-1]), state) for state, indices in spans]
