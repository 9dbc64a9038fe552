"""Takes that were painted against others stay valid when those change."""

from dataclasses import replace
from fractions import Fraction

import pytest

from engine.plan import Paint, Recipe, SourceFacts
from engine.settings import RenderSettings, TranslationSettings
from engine.types import Clip, FrameRange, FrameSize, KeyFrame
from server.planning import PlanInputs, key_frames_only, make_session_plan, needed_for
from server.records import TakeRecord
from server.state import PlacedKeyFrame, SessionState

WHOLE = FrameRange(0, 8)


def against_others(settings: TranslationSettings) -> Recipe:
    return Recipe(settings.prompt, paints_against_others=True)


def inputs(*prompts: str, takes: tuple[TakeRecord, ...] = ()) -> PlanInputs:
    """Key frames at 0, 4, 8 and so on, each with its own prompt."""
    facts = SourceFacts(WHOLE, {index: str(index) for index in WHOLE.indices})
    keys = tuple(KeyFrame(4 * number, prompt=prompt) for number, prompt in enumerate(prompts))
    return PlanInputs(facts, keys, RenderSettings(), takes)


def record(paint: Paint) -> TakeRecord:
    settings = paint.settings
    return TakeRecord(
        paint.address,
        paint.frame,
        paint.recipe,
        settings.painter,
        settings.prompt,
        settings.seed,
        settings.strength,
        paint.painted_against,
        made_at=0,
    )


def test_a_changed_anchor_leaves_later_takes_in_use() -> None:
    first = make_session_plan(inputs("oak", "oak", "oak"), WHOLE, against_others)
    takes = tuple(record(paint) for paint in first.paints)
    assert takes[2].painted_against == (first.takes[0], first.takes[4])

    changed = inputs("ivy", "oak", "oak", takes=takes)
    second = make_session_plan(changed, WHOLE, against_others)
    assert [paint.frame for paint in second.paints] == [0]
    assert (second.takes[4], second.takes[8]) == (first.takes[4], first.takes[8])


def test_the_newest_take_of_a_recipe_is_the_one_in_use() -> None:
    first = make_session_plan(inputs("oak", "oak"), WHOLE, against_others)
    old, newer = record(first.paints[1]), replace(record(first.paints[1]), address="newer")
    again = make_session_plan(inputs("ivy", "oak", takes=(old, newer)), WHOLE, against_others)
    assert again.takes[4] == "newer"


def test_painting_one_key_frame_paints_what_it_is_painted_against_first() -> None:
    plan = make_session_plan(inputs("oak", "oak", "oak"), WHOLE, against_others)
    only = key_frames_only(plan, FrameRange(8, 8))
    assert [paint.frame for paint in only.paints] == [0, 4, 8]
    assert only.pictures == {8: plan.takes[8]}
    assert not only.intervals


@pytest.mark.parametrize(("painter", "first"), [("style", 4), ("diffusion", 0)])
def test_a_host_is_asked_for_the_shot_up_to_a_frame_where_key_frames_follow_each_other(
    painter: str, first: int
) -> None:
    """Otherwise the anchor would be whichever key frame the host happened to send first."""
    settings = RenderSettings(
        translation=TranslationSettings(
            painter=painter, prompt="mosaic", model="owner/name", controlnet=""
        )
    )
    clip = Clip("host", WHOLE, FrameSize(64, 64), Fraction(25))
    keys = tuple(PlacedKeyFrame(KeyFrame(index)) for index in (0, 4, 8))
    state = SessionState("session", clip, settings, "host", keys)
    assert needed_for(state, FrameRange(5, 6)) == FrameRange(first, 8)
