"""What is planned, and what a change of key frames or settings makes stale."""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from engine.errors import InvalidValueError
from engine.plan import (
    OWN_SETTINGS,
    Address,
    Blend,
    Direction,
    Interval,
    Paint,
    Painted,
    Plan,
    Propagate,
    Recipe,
    SourceFacts,
    automatic_key_frames,
    make_plan,
    needed_sources,
    shots,
)
from engine.settings import (
    PropagationSettings,
    RenderSettings,
    SourceSettings,
    TranslationSettings,
)
from engine.types import FrameRange, KeyFrame
from tests.annotated import another

CLIP = FrameRange(0, 30)

RecipeOf = Callable[[TranslationSettings], Recipe]


def alone(settings: TranslationSettings) -> Recipe:
    """Of a painter that looks at the source only."""
    return Recipe(str(settings))


def against_others(settings: TranslationSettings) -> Recipe:
    return replace(alone(settings), paints_against_others=True)


def facts(cuts: Collection[int] = (), known: Collection[int] = CLIP.indices) -> SourceFacts:
    return SourceFacts(CLIP, {index: f"digest {index}" for index in known}, frozenset(cuts))


def plan_of(
    *keys: int | KeyFrame,
    source: SourceFacts | None = None,
    settings: RenderSettings | None = None,
    frames: FrameRange = CLIP,
    recipe_of: RecipeOf = alone,
    flow_recipe: str = "dis",
) -> Plan:
    key_frames = [key if isinstance(key, KeyFrame) else KeyFrame(key) for key in keys]
    settings = settings or RenderSettings()
    return make_plan(source or facts(), key_frames, settings, frames, recipe_of, flow_recipe)


def addresses(plan: Plan) -> set[Address]:
    return {step.address for step in plan.steps}


def frames_to_do(plan: Plan, done: set[Address]) -> dict[type, set[int]]:
    """Of the steps that are not done yet, by their kind."""
    new = [step for step in plan.steps if step.address not in done]
    return {
        kind: {step.frame for step in new if isinstance(step, kind)}
        for kind in (Paint, Propagate, Blend)
    }


def interval_at(plan: Plan, frame: int) -> Interval:
    (found,) = [
        interval
        for interval in plan.intervals
        if any(step.frame == frame for step in interval.steps)
    ]
    return found


def test_every_frame_between_two_keys_comes_from_both_and_is_blended() -> None:
    interval = interval_at(plan_of(0, 10, 30), 5)
    assert [step.frame for step in interval.forward] == list(range(1, 10))
    assert [step.frame for step in interval.backward] == list(range(9, 0, -1))
    assert [step.frame for step in interval.blends] == list(range(1, 10))
    assert {step.key_frame for step in interval.forward} == {0}
    assert {step.key_frame for step in interval.backward} == {10}


def test_every_frame_of_the_clip_has_one_picture() -> None:
    plan = plan_of(0, 10, 11, 24)
    assert list(plan.pictures) == list(CLIP.indices)
    assert set(plan.pictures.values()) <= addresses(plan)
    assert {frame: plan.pictures[frame] for frame in (0, 10, 11, 24)} == plan.takes


def test_steps_come_in_an_order_in_which_they_can_be_done() -> None:
    done: set[Address] = set()
    for step in plan_of(3, 10, 24, recipe_of=against_others).steps:
        match step:
            case Paint(references=references):
                assert {reference.take for reference in references} <= done
            case Propagate(take=take, previous=previous):
                assert {take, previous} <= done
            case Blend(left=left, right=right, previous=carried):
                assert {left.address, right.address} <= done
                assert carried is None or carried in done
        done.add(step.address)


def test_a_chain_goes_from_its_key_frame_step_by_step() -> None:
    plan = plan_of(0, 10)
    forward = interval_at(plan, 5).forward
    assert forward[0].previous == forward[0].take == plan.takes[0]
    for step, following in pairwise(forward):
        assert following.previous == step.address
    assert all(step.direction is Direction.FORWARD for step in forward)


def test_both_sides_of_an_interval_weigh_the_same_at_the_same_distance() -> None:
    for blend in interval_at(plan_of(4, 14), 9).blends:
        assert blend.left.key_frame == 4
        assert blend.right.key_frame == 14
        assert blend.left.frame == blend.right.frame == blend.frame


def test_moving_a_key_touches_only_its_two_intervals() -> None:
    before = plan_of(0, 10, 20, 30)
    to_do = frames_to_do(plan_of(0, 12, 20, 30), addresses(before))
    assert to_do[Paint] == {12}
    assert to_do[Blend] == set(range(1, 20)) - {12}
    assert to_do[Propagate] <= set(range(1, 20))


def test_a_moved_key_that_returns_finds_everything_again() -> None:
    before = plan_of(0, 10, 20, 30)
    assert addresses(plan_of(0, 10, 20, 30)) == addresses(before)


@pytest.mark.parametrize("name", OWN_SETTINGS)
def test_what_a_key_sets_for_itself_touches_only_its_take_and_its_two_intervals(name: str) -> None:
    value: Any = another(name)
    own = KeyFrame(10, **{name: value})
    before = plan_of(0, 10, 20, 30)
    plan = plan_of(0, own, 20, 30)
    (paint,) = [paint for paint in plan.paints if paint.frame == 10]
    assert paint.settings == replace(TranslationSettings(), **{name: value})
    to_do = frames_to_do(plan, addresses(before))
    assert to_do[Paint] == {10}
    assert to_do[Blend] == set(range(1, 20)) - {10}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KeyFrame(10, prompt_addition="a raised hand"), "an oil painting, a raised hand"),
        (KeyFrame(10, prompt="ink,", prompt_addition=", a hand"), "ink, a hand"),
        (KeyFrame(10, prompt="", prompt_addition="a hand"), "a hand"),
    ],
)
def test_an_addition_stands_behind_the_prompt_that_holds_for_the_key(
    key: KeyFrame, expected: str
) -> None:
    before, plan = plan_of(0, 10, 20), plan_of(0, key, 20)
    (paint,) = [paint for paint in plan.paints if paint.frame == 10]
    assert paint.settings.prompt == expected
    assert frames_to_do(plan, addresses(before))[Paint] == {10}


def test_a_killed_render_finds_its_work_under_the_same_addresses() -> None:
    """Whatever part of the clip was asked for first, and however often."""
    whole = plan_of(0, 10, 20, 30)
    part = plan_of(0, 10, 20, 30, frames=FrameRange(13, 15))
    assert addresses(part) <= addresses(whole)
    assert all(whole.pictures[frame] == part.pictures[frame] for frame in range(13, 16))
    assert not any(frames_to_do(whole, addresses(plan_of(0, 10, 20, 30))).values())


def test_part_of_an_interval_is_planned_as_a_whole_interval() -> None:
    plan = plan_of(0, 10, 20, 30, frames=FrameRange(13, 15))
    assert {step.frame for step in plan.steps} == set(range(10, 21))
    assert list(plan.pictures) == [13, 14, 15]
    assert {paint.frame for paint in plan.paints} == {10, 20}


def test_a_propagation_setting_keeps_the_takes() -> None:
    before = plan_of(0, 10)
    changed = RenderSettings(propagation=PropagationSettings(patch_size=7))
    to_do = frames_to_do(plan_of(0, 10, settings=changed), addresses(before))
    assert to_do[Paint] == set()
    assert to_do[Propagate] == set(range(1, 31)) - {10}


def test_another_flow_recipe_makes_stale_what_follows_the_flow_and_no_take() -> None:
    """Which stands for both of its settings."""
    before = addresses(plan_of(0, 10))
    to_do = frames_to_do(plan_of(0, 10, flow_recipe="raft with these weights"), before)
    assert to_do[Paint] == set()
    assert to_do[Blend] == set(range(1, 10))
    assert to_do[Propagate] == set(range(1, 31)) - {10}
    renamed = RenderSettings(propagation=PropagationSettings(flow_weights="elsewhere.pth"))
    assert addresses(plan_of(0, 10, settings=renamed)) == before


def test_changed_pixels_of_a_frame_make_stale_what_was_made_from_them() -> None:
    source = facts()
    changed = replace(source, digests={**source.digests, 5: "other"})
    to_do = frames_to_do(plan_of(0, 10, 20, source=changed), addresses(plan_of(0, 10, 20)))
    assert to_do[Paint] == set()
    assert to_do[Blend] == set(range(1, 10))
    assert to_do[Propagate] == set(range(1, 10))


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        (replace(facts(), digests={**facts().digests, 0: "other"}), RenderSettings()),
        (facts(), RenderSettings(source=SourceSettings(color_space="acescg"))),
    ],
    ids=["pixels of the key frame", "colour space"],
)
def test_what_a_painted_picture_is_compared_with_is_part_of_what_is_carried(
    source: SourceFacts, settings: RenderSettings
) -> None:
    key = KeyFrame(0, take="painted by hand")
    to_do = frames_to_do(plan_of(key, source=source, settings=settings), addresses(plan_of(key)))
    assert to_do[Propagate] == set(range(1, 31))


def test_nothing_crosses_a_cut() -> None:
    plan = plan_of(0, 10, 20, 30, source=facts(cuts=[16]))
    before_cut, after_cut = interval_at(plan, 15), interval_at(plan, 16)
    assert {step.key_frame for step in before_cut.steps if isinstance(step, Propagate)} == {10}
    assert {step.key_frame for step in after_cut.steps if isinstance(step, Propagate)} == {20}
    assert not before_cut.blends
    assert not after_cut.blends


def test_a_shot_without_keys_stays_source() -> None:
    plan = plan_of(2, 10, source=facts(cuts=[16, 24]))
    assert list(plan.pictures) == list(range(16))
    assert not plan_of().steps


def test_before_the_first_key_and_after_the_last_one_work_goes_one_way() -> None:
    plan = plan_of(10, 20)
    head, tail = interval_at(plan, 3), interval_at(plan, 25)
    assert [step.frame for step in head.backward] == list(range(9, -1, -1))
    assert [step.frame for step in tail.forward] == list(range(21, 31))
    assert not any([head.forward, head.blends, tail.backward, tail.blends])


def test_a_single_key_carries_the_whole_shot() -> None:
    assert list(plan_of(17).pictures) == list(CLIP.indices)


def test_between_adjacent_keys_there_is_nothing_to_do() -> None:
    plan = plan_of(0, 1, 2, 30)
    assert len(plan.intervals) == 1
    assert {paint.frame for paint in plan.paints} == {0, 1, 2, 30}


def test_all_frames_keys_means_painting_only() -> None:
    plan = plan_of(*CLIP.indices)
    assert len(plan.paints) == 31
    assert not plan.intervals


def test_a_chosen_take_is_used_as_it_is() -> None:
    plan = plan_of(0, KeyFrame(10, take="chosen"))
    assert plan.pictures[10] == "chosen"
    assert {paint.frame for paint in plan.paints} == {0}
    assert {step.take for step in interval_at(plan, 5).backward} == {"chosen"}


def test_frames_that_are_not_known_yet_get_no_steps() -> None:
    plan = plan_of(0, 10, 20, source=facts(known=[*range(6), 20, 21]))
    assert {paint.frame for paint in plan.paints} == {0, 20}
    assert set(plan.pictures) == {*range(6), 20, 21}


@pytest.mark.parametrize("index", [-1, 31])
def test_a_key_outside_the_clip_is_refused(index: int) -> None:
    with pytest.raises(InvalidValueError, match=rf"Key frame {index} .* from 0 to 30"):
        plan_of(0, index)


def test_two_keys_at_one_frame_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="Key frame 7 is given twice"):
        plan_of(7, 0, KeyFrame(7, seed=1))


def test_a_take_records_the_anchor_and_the_previous_take_it_was_painted_against() -> None:
    plan = plan_of(0, 10, 20, 30, recipe_of=against_others)
    references = {paint.frame: paint.references for paint in plan.paints}
    assert references == {
        0: (),
        10: (Painted(0, plan.takes[0]),),
        20: (Painted(0, plan.takes[0]), Painted(10, plan.takes[10])),
        30: (Painted(0, plan.takes[0]), Painted(20, plan.takes[20])),
    }


def test_a_take_painted_against_others_still_tells_its_own_recipe() -> None:
    """By it a later key can be told to be painted against an older key, not out of date."""
    before = plan_of(0, 10, 20, recipe_of=against_others).paints[2]
    after = plan_of(0, KeyFrame(10, seed=5), 20, recipe_of=against_others).paints[2]
    assert before.recipe == after.recipe
    assert before.address != after.address


def test_each_shot_has_its_own_anchor() -> None:
    plan = plan_of(0, 10, 20, 30, source=facts(cuts=[16]), recipe_of=against_others)
    references = {paint.frame: paint.painted_against for paint in plan.paints}
    assert references[20] == ()
    assert references[30] == (plan.takes[20],)


def test_a_marked_key_anchors_those_after_it_up_to_the_next_marked_one() -> None:
    keys = [KeyFrame(index, anchor=index in (10, 24)) for index in (0, 5, 10, 15, 20, 24, 30)]
    plan = plan_of(*keys, recipe_of=against_others)
    frames = {
        index: [reference.frame for reference in references]
        for index, references in plan.references.items()
    }
    assert frames == {
        0: [],
        5: [0],
        10: [0, 5],
        15: [10],
        20: [10, 15],
        24: [10, 20],
        30: [24],
    }


def test_a_mark_holds_in_its_shot_only() -> None:
    keys = [KeyFrame(index, anchor=index == 10) for index in (0, 10, 20, 30)]
    plan = plan_of(*keys, source=facts(cuts=[16]), recipe_of=against_others)
    assert plan.references[20] == ()
    assert plan.references[30] == (Painted(20, plan.takes[20]),)


def test_a_mark_repaints_neither_its_key_nor_those_before_it() -> None:
    before = plan_of(0, 10, 20, 30, recipe_of=against_others)
    marked = plan_of(0, 10, KeyFrame(20, anchor=True), 30, recipe_of=against_others)
    assert frames_to_do(marked, addresses(before))[Paint] == {30}
    assert [paint.recipe for paint in marked.paints] == [paint.recipe for paint in before.paints]
    on_the_first = plan_of(KeyFrame(0, anchor=True), 10, 20, 30, recipe_of=against_others)
    assert addresses(on_the_first) == addresses(before)


def test_a_take_of_any_origin_can_be_anchor_or_previous_key_frame() -> None:
    by_hand, accepted = KeyFrame(0, take="by hand"), KeyFrame(20, take="accepted")
    references = {
        paint.frame: paint.painted_against
        for paint in plan_of(by_hand, 10, accepted, 30, recipe_of=against_others).paints
    }
    assert references == {10: ("by hand",), 30: ("by hand", "accepted")}


def test_a_take_painted_against_others_depends_on_their_sources_and_on_the_flow() -> None:
    keys = [KeyFrame(0, take="by hand"), KeyFrame(10)]

    def take(**changed: Any) -> Address:
        return plan_of(*keys, recipe_of=against_others, **changed).takes[10]

    moved = replace(facts(), digests={**facts().digests, 0: "other"})
    between = replace(facts(), digests={**facts().digests, 5: "other"})
    assert len({take(), take(source=moved), take(flow_recipe="raft")}) == 3
    assert take(source=between) == take()


def test_what_a_take_is_painted_against_is_painted_too() -> None:
    plan = plan_of(0, 10, 20, 30, frames=FrameRange(25, 26), recipe_of=against_others)
    assert {paint.frame for paint in plan.paints} == {0, 10, 20, 30}
    assert {paint.frame for paint in plan_of(0, 10, 20, 30, frames=FrameRange(25, 26)).paints} == {
        20,
        30,
    }


@pytest.mark.parametrize(
    ("cuts", "interval", "expected"),
    [
        ([], 10, [0, 10, 20, 30]),
        ([], 12, [0, 12, 24, 30]),
        ([], 1, list(range(31))),
        ([], 100, [0, 30]),
        ([16], 10, [0, 10, 15, 16, 26, 30]),
        ([30], 15, [0, 15, 29, 30]),
        ([], 0, []),
    ],
)
def test_automatic_keys_stand_at_the_interval_and_at_both_ends_of_each_shot(
    cuts: list[int], interval: int, expected: list[int]
) -> None:
    assert automatic_key_frames(CLIP, cuts, interval) == expected


def test_a_negative_key_interval_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="key_interval is -3"):
        automatic_key_frames(CLIP, [], -3)


def test_cuts_outside_the_clip_divide_nothing() -> None:
    assert shots(FrameRange(5, 9), [0, 5, 7, 10, 40]) == [FrameRange(5, 6), FrameRange(7, 9)]


@pytest.mark.parametrize(
    ("keys", "frames", "expected"),
    [
        ([0, 10, 20], FrameRange(13, 14), FrameRange(10, 20)),
        ([0, 10, 20], FrameRange(10, 10), FrameRange(10, 10)),
        ([0, 10, 20], FrameRange(5, 15), FrameRange(0, 20)),
        ([10, 20], FrameRange(3, 4), FrameRange(3, 10)),
        ([10, 20], FrameRange(25, 26), FrameRange(20, 26)),
        ([10], FrameRange(0, 30), FrameRange(0, 30)),
    ],
)
def test_source_frames_reach_to_the_keys_around(
    keys: list[int], frames: FrameRange, expected: FrameRange
) -> None:
    assert needed_sources(CLIP, map(KeyFrame, keys), frames) == expected


@pytest.mark.parametrize(
    ("cuts", "frames", "expected"),
    [
        ([], FrameRange(24, 25), FrameRange(2, 30)),
        ([16], FrameRange(24, 25), FrameRange(20, 30)),
        ([16], FrameRange(12, 13), FrameRange(2, 20)),
        ([16, 25], FrameRange(2, 2), FrameRange(2, 2)),
    ],
)
def test_what_is_painted_against_others_needs_its_shot_from_the_first_key_on(
    cuts: list[int], frames: FrameRange, expected: FrameRange
) -> None:
    keys = [KeyFrame(index) for index in (2, 10, 20, 30)]
    needed = needed_sources(CLIP, keys, frames, paints_against_others=True, cuts=cuts)
    assert needed == expected


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        (KeyFrame(10, anchor=True), 2),
        (KeyFrame(10, anchor=True, take="accepted"), 10),
        (KeyFrame(10, take="accepted"), 2),
    ],
    ids=["it must be painted", "it is there", "it is no anchor"],
)
def test_an_anchor_outside_the_range_is_needed_with_what_it_is_painted_against(
    marked: KeyFrame, first: int
) -> None:
    keys = [KeyFrame(2), marked, KeyFrame(20), KeyFrame(28)]
    needed = needed_sources(CLIP, keys, FrameRange(21, 25), paints_against_others=True)
    assert needed == FrameRange(first, 28)


def test_a_key_whose_anchor_is_not_known_yet_gets_no_steps() -> None:
    source = facts(known=range(10, 31))
    plan = plan_of(0, 10, 20, source=source, recipe_of=against_others)
    assert not plan.paints
    accepted = KeyFrame(10, take="accepted", anchor=True)
    plan = plan_of(0, accepted, 20, source=source, recipe_of=against_others)
    assert {paint.frame: paint.painted_against for paint in plan.paints} == {20: ("accepted",)}


def test_without_keys_no_source_frame_is_needed() -> None:
    assert needed_sources(CLIP, [], CLIP) is None
    assert needed_sources(CLIP, [], CLIP, paints_against_others=True) is None


def test_equal_pictures_share_a_take_unless_the_painter_looks_at_more_than_the_source() -> None:
    still = SourceFacts(CLIP, dict.fromkeys(CLIP.indices, "the same"))

    def takes(recipe_of: RecipeOf) -> set[Address]:
        return set(plan_of(0, 10, source=still, recipe_of=recipe_of).takes.values())

    assert len(takes(alone)) == 1
    assert len(takes(lambda settings: replace(alone(settings), depends_on_frame=True))) == 2
