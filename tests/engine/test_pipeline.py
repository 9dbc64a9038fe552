import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from engine import pipeline
from engine.errors import CancelledError, InvalidValueError, NotFoundError
from engine.media.color import to_painting_space
from engine.memory_store import MemoryStore
from engine.motion.flow import DisFlow
from engine.motion.occlusion import occlusion_mask
from engine.motion.warp import warp
from engine.native.kernels import Kernels
from engine.native.reference import blend as twin
from engine.pipeline import execute
from engine.plan import Address, Blend, Paint, Plan, Propagate, Recipe, SourceFacts, make_plan
from engine.report import Report
from engine.settings import PropagationSettings, RenderSettings, TranslationSettings
from engine.store import Saver, StoredPicture
from engine.translation.painter import PaintRequest, Trajectory
from engine.translation.painters import recipe_of
from engine.types import (
    Alpha,
    Clip,
    FloatArray,
    Frame,
    FrameRange,
    FrameSize,
    KeyFrame,
    Precision,
)
from tests.annotated import another

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder

SETTINGS = RenderSettings(
    translation=TranslationSettings(painter="style", prompt="mosaic", strength=1.0),
    propagation=PropagationSettings(quality="draft"),
)


KERNELS = Kernels.open("cpu")

OF_THE_ESTIMATOR = {"flow_estimator", "flow_weights"}  # which `execute` is given ready-made
OF_THE_BLEND = {"poisson_weight"}


@dataclass
class PanningClip:
    """A clip in which the picture moves to the right by 1.5 pixels a frame."""

    picture: FloatArray
    """Wider than the clip by what comes into view."""
    size: FrameSize
    length: int
    alpha: Alpha = Alpha.OPAQUE
    reads: list[int] = field(default_factory=list)
    alive: int = 0
    most_alive: int = 0

    @property
    def clip(self) -> Clip:
        return Clip("footage", FrameRange(0, self.length - 1), self.size, Fraction(25))

    def read(self, index: int) -> Frame:
        if index not in self.clip.frame_range:
            raise NotFoundError(f"There is no frame {index}.")
        self.reads.append(index)
        moved = np.array([[1, 0, 1.5 * (self.length - index)], [0, 1, 0]], np.float32)
        rgb = cv2.warpAffine(
            self.picture,
            moved,
            (self.size.width, self.size.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        covered = np.full((*rgb.shape[:2], 1), 0.5 if self.alpha is Alpha.STRAIGHT else 1.0)
        frame = Frame(index, np.dstack([rgb, covered]).astype(np.float32), alpha=self.alpha)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(frame.pixels, self._let_go)
        return frame

    def _let_go(self) -> None:
        self.alive -= 1

    def digest(self, index: int) -> str:
        return f"footage {self.size} {index}"

    def close(self) -> None:
        pass


@dataclass
class Memory(MemoryStore):
    """A store that remembers what was delivered, and sees that nothing is made twice."""

    frames: dict[int, Frame] = field(default_factory=dict)
    deliveries: list[int] = field(default_factory=list)

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None:
        assert address not in self.pictures, "made twice"
        assert precision is Precision.HALF
        super().save(address, picture, precision)

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        assert not self.has(take), "saved after its take"
        super().save_trajectory(take, trajectory)

    def deliver(self, frame: Frame, address: Address) -> None:
        super().deliver(frame, address)
        self.frames[frame.index] = frame
        self.deliveries.append(frame.index)


class Still(PanningClip):
    """A clip of which all frames are equal."""

    def read(self, index: int) -> Frame:
        return replace(super().read(0), index=index)

    def digest(self, index: int) -> str:
        return f"still {self.size}"


class SlowMemory(Memory):
    """Takes its time to save."""

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None:
        time.sleep(0.05)
        super().save(address, picture, precision)


@pytest.fixture
def footage(photo: "Photo") -> PanningClip:
    return PanningClip(photo(90, 180), FrameSize(160, 90), length=12)


def plan_of(
    footage: PanningClip,
    keys: Iterable[int | KeyFrame],
    *,
    cuts: Iterable[int] = (),
    recipes: Callable[[TranslationSettings], Recipe] = recipe_of,
    frames: FrameRange | None = None,
) -> Plan:
    digests = {index: footage.digest(index) for index in footage.clip.frame_range.indices}
    return make_plan(
        SourceFacts(footage.clip.frame_range, digests, frozenset(cuts)),
        [key if isinstance(key, KeyFrame) else KeyFrame(key) for key in keys],
        SETTINGS,
        frames or footage.clip.frame_range,
        recipes,
        flow_recipe="dis",
    )


def run(footage: PanningClip, plan: Plan, report: Report, store: Memory | None = None) -> Memory:
    store = store or Memory()
    execute(plan, footage, SETTINGS, store, report, DisFlow(), KERNELS)
    return store


@pytest.mark.parametrize(
    "keys",
    [[0, 4, 11], [0], [6], [11], [5, 6], [0, 11], [3, 4, 9]],
    ids=lambda keys: "-".join(map(str, keys)),
)
def test_every_frame_gets_its_picture_wherever_the_key_frames_are(
    footage: PanningClip, report: "Recorder", keys: Sequence[int]
) -> None:
    plan = plan_of(footage, keys)
    store = run(footage, plan, report)
    assert store.sequence == plan.pictures
    assert sorted(store.deliveries) == list(range(12))
    assert report.made(Paint) == list(keys)
    between = [f for f in range(12) if min(keys) < f < max(keys) and f not in keys]
    assert report.made(Blend) == between
    assert len(report.made(Propagate)) == 12 - len(keys) + len(between)


def test_a_clip_without_key_frames_stays_source(footage: PanningClip, report: "Recorder") -> None:
    store = run(footage, plan_of(footage, []), report)
    assert not store.pictures
    assert not store.sequence
    assert not footage.reads


def test_key_frames_are_delivered_as_they_were_painted(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 11])
    store = run(footage, plan, report)
    for key in (0, 11):
        delivered = store.frames[key].pixels[..., :3]
        assert np.array_equal(delivered, store.load(plan.takes[key]).pixels)


def test_a_painting_follows_what_moves(footage: PanningClip, report: "Recorder") -> None:
    """The source itself as painting: what is carried should be the source of the other frames."""
    paintings = {f"painting {key}": to_painting_space(footage.read(key)) for key in (0, 11)}
    store = Memory({name: StoredPicture(pixels) for name, pixels in paintings.items()})
    keys = [KeyFrame(0, take="painting 0"), KeyFrame(11, take="painting 11")]
    run(footage, plan_of(footage, keys), report, store)
    for index in range(12):
        wanted = footage.read(index).pixels[..., :3]
        error = np.abs(store.frames[index].pixels[..., :3] - wanted)[:, 8:-8].mean()
        stands = np.abs(paintings["painting 0"] - wanted)[:, 8:-8].mean()
        assert error < 0.02, index
        assert error < 0.5 * stands or index == 0, index


def test_nothing_is_carried_or_blended_across_a_cut(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [3, 8], cuts=[6])
    run(footage, plan, report)
    assert not report.made(Blend)
    steps = [step for step, _ in report.finished if isinstance(step, Propagate)]
    assert all(step.key_frame == (3 if step.frame < 6 else 8) for step in steps)
    assert sorted([3, 8, *(step.frame for step in steps)]) == list(range(12))


def test_a_blend_takes_both_sides_at_its_own_frame_and_brings_the_choice_along(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 11])
    store = run(footage, plan, report)
    choice: FloatArray | None = None
    for blend in plan.intervals[0].blends:
        frame = blend.frame
        assert blend.left.frame == blend.right.frame == frame
        left = side_of(store, blend.left, distance=frame)
        right = side_of(store, blend.right, distance=11 - frame)
        if choice is not None:
            now, before = (to_painting_space(footage.read(index)) for index in (frame, frame - 1))
            choice = warp(choice, DisFlow().estimate(now, before))
        choice, expected = twin.blend(left, right, choice)
        rounded = expected.astype(np.float16).astype(np.float32)
        # Half has 11 bits: where the kernel differs in the last bits of a float, one may flip.
        assert np.abs(store.load(blend.address).pixels - rounded).max() < 1e-3


def side_of(store: Memory, step: Propagate, distance: int) -> twin.Side:
    stored = store.load(step.address)
    assert stored.patch_error is not None
    return twin.Side(stored.pixels, stored.patch_error, distance)


@pytest.mark.parametrize(
    "name",
    sorted({f.name for f in fields(PropagationSettings)} - OF_THE_ESTIMATOR - OF_THE_BLEND),
)
def test_every_propagation_setting_changes_what_is_carried(
    footage: PanningClip, report: "Recorder", name: str
) -> None:
    before = SETTINGS.propagation
    plan = plan_of(footage, [0], frames=FrameRange(0, 3))
    carried = []
    for propagation in (before, replace(before, **{name: another(name)})):  # type: ignore[arg-type]
        store, settings = Memory(), replace(SETTINGS, propagation=propagation)
        execute(plan, footage, settings, store, report, DisFlow(), KERNELS)
        carried.append(store.load(plan.pictures[3]).pixels)
    assert np.abs(carried[0] - carried[1]).max() > 0.01


def test_smoothing_seams_changes_blends_alone(footage: PanningClip, report: "Recorder") -> None:
    plan = plan_of(footage, [0, 11])
    stores: list[Memory] = []
    for weight in (0.0, 1.0, 10.0):
        propagation = replace(SETTINGS.propagation, poisson_weight=weight)
        settings = replace(SETTINGS, propagation=propagation)
        stores.append(Memory())
        execute(plan, footage, settings, stores[-1], report, DisFlow(), KERNELS)
    for before, after in pairwise(stores):
        changed = {
            address
            for address, picture in before.pictures.items()
            if not np.array_equal(picture.pixels, after.load(address).pixels)
        }
        assert changed
        assert changed <= {blend.address for blend in plan.intervals[0].blends}


def test_moving_a_key_makes_only_its_take_and_its_two_intervals_again(
    footage: PanningClip, report: "Recorder"
) -> None:
    store = run(footage, plan_of(footage, [0, 3, 6, 11]), report)
    report.finished.clear()
    run(footage, plan_of(footage, [0, 3, 8, 11]), report, store)
    assert report.made(Paint) == [8]
    from_3_on, from_8_back, from_8_on = [6, 7], [7, 6, 5, 4], [9, 10]
    assert sorted(report.made(Propagate)) == sorted(from_3_on + from_8_back + from_8_on)
    assert report.made(Blend) == [4, 5, 6, 7, 9, 10]


def test_what_is_ready_is_neither_made_nor_delivered_again(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 5, 11])
    store = run(footage, plan, report)
    made, delivered = len(report.finished), len(store.deliveries)
    footage.reads.clear()
    run(footage, plan, report, store)
    assert all(reused for _, reused in report.finished[made:])
    assert len(report.finished) == 2 * made
    assert len(store.deliveries) == delivered
    assert not footage.reads


def test_a_frame_that_holds_an_old_picture_is_delivered_from_the_store(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 5])
    store = run(footage, plan, report)
    store.sequence[3] = "old"
    del store.sequence[5]
    store.deliveries.clear()
    run(footage, plan, report, store)
    assert sorted(store.deliveries) == [3, 5]
    assert store.delivered(3) == plan.pictures[3]


def test_equal_frames_share_a_picture_that_is_still_being_saved(
    photo: "Photo", report: "Recorder"
) -> None:
    still = Still(photo(90, 180), FrameSize(160, 90), length=6)
    plan = plan_of(still, [2, 3])
    store = run(still, plan, report, SlowMemory())
    assert report.made(Paint) == [2]
    assert report.made(Propagate) == [1, 0]
    assert store.sequence == plan.pictures
    assert sorted(store.sequence) == list(range(6))


def test_a_chosen_take_is_delivered_although_an_equal_frame_is_painted_to_the_same(
    photo: "Photo", report: "Recorder"
) -> None:
    still = Still(photo(90, 180), FrameSize(160, 90), length=2)
    painted = run(still, plan_of(still, [1]), report)
    take = plan_of(still, [1]).takes[1]
    store = Memory({take: painted.pictures[take]})
    run(still, plan_of(still, [KeyFrame(0, take=take), KeyFrame(1)]), report, store)
    assert store.sequence == {0: take, 1: take}


def test_a_render_cancelled_after_every_step_ends_with_the_same_bits(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 4, 11])
    whole = run(footage, plan, report)
    pieces = Memory()
    for finished in count(1):
        interrupted = type(report)(cancel_after=finished)
        try:
            run(footage, plan, interrupted, pieces)
            break
        except CancelledError:
            # Steps of both directions may have been under way, and others were being saved.
            assert finished <= len(pieces.pictures) <= finished + Saver.MOST_WAITING + 2
    assert len(pieces.pictures) == len(plan.steps)
    for address, picture in whole.pictures.items():
        assert np.array_equal(pieces.load(address).pixels, picture.pixels)
    assert pieces.sequence == whole.sequence
    for index, frame in whole.frames.items():
        assert np.array_equal(pieces.frames[index].pixels, frame.pixels)


def test_a_painting_after_one_that_is_there_tells_its_own_seconds(
    footage: PanningClip, report: "Recorder", monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        def advice(self, settings: TranslationSettings) -> str:
            return ""

        def paint(self, request: PaintRequest, report: Report) -> FloatArray:
            time.sleep(0.2)
            return request.source

    monkeypatch.setattr(pipeline, "painter_named", lambda _name: Slow())
    plan = replace(plan_of(footage, [0, 7], recipes=lambda _: Recipe("slow")), intervals=())
    store = run(footage, plan, report)
    del store.pictures[plan.takes[7]], store.sequence[0]
    monkeypatch.setattr(Memory, "deliver", lambda *_: time.sleep(0.05))
    run(footage, plan, report, store)
    assert report.seconds[0] < 0.1 < report.seconds[7]


def test_what_is_not_understood_is_told_of_a_painting_that_is_there_too(
    footage: PanningClip, report: "Recorder", monkeypatch: pytest.MonkeyPatch
) -> None:
    class Copyist:
        def advice(self, settings: TranslationSettings) -> str:
            return f"{settings.prompt} is not understood."

        def paint(self, request: PaintRequest, report: Report) -> FloatArray:
            return request.source

    monkeypatch.setattr(pipeline, "painter_named", lambda _name: Copyist())
    plan = replace(plan_of(footage, [0], recipes=lambda _: Recipe("copy")), intervals=())
    store = run(footage, plan, report)
    settings = replace(plan.paints[0].settings, prompt="a dragon")
    run(footage, replace(plan, paints=(replace(plan.paints[0], settings=settings),)), report, store)
    assert report.notices[-1] == "a dragon is not understood."


def test_what_has_no_room_on_the_device_comes_back_from_the_store_with_the_same_bits(
    footage: PanningClip, report: "Recorder", monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(footage, [0, 6])
    whole = run(footage, plan, report)
    two_pictures = 2 * 160 * 90 * 4 * 4
    monkeypatch.setattr(pipeline, "RESIDENT_BYTES", two_pictures)
    for address, picture in run(footage, plan, report).pictures.items():
        assert np.array_equal(picture.pixels, whole.load(address).pixels)


def test_a_frame_is_delivered_as_soon_as_its_picture_is_there(
    footage: PanningClip, report: "Recorder"
) -> None:
    plan = plan_of(footage, [0, 4, 11])
    report.cancel_after = 3 + 3 + 3 + 2
    store = Memory()
    with pytest.raises(CancelledError):
        run(footage, plan, report, store)
    assert {0, 4, 11, 1, 2} <= set(store.deliveries)
    assert len(store.deliveries) <= 5 + Saver.MOST_WAITING + 2


def test_memory_does_not_grow_with_the_clip(photo: "Photo", report: "Recorder") -> None:
    def most_frames_held(length: int) -> int:
        footage = PanningClip(photo(32, 120), FrameSize(48, 32), length)
        run(footage, plan_of(footage, [0, length - 1]), report)
        return footage.most_alive

    assert most_frames_held(40) <= most_frames_held(10) <= 8


def test_each_pass_over_an_interval_reads_its_frames_once(
    footage: PanningClip, report: "Recorder"
) -> None:
    run(footage, plan_of(footage, [0, 11]), report)
    passes = 3  # forward, backward, blends
    assert all(footage.reads.count(index) <= passes for index in range(1, 11))


def test_alpha_comes_back_with_the_frame(photo: "Photo", report: "Recorder") -> None:
    footage = PanningClip(photo(48, 100), FrameSize(64, 48), 3, alpha=Alpha.STRAIGHT)
    store = run(footage, plan_of(footage, [0]), report)
    for frame in store.frames.values():
        assert frame.alpha is Alpha.STRAIGHT
        assert (frame.pixels[..., 3] == 0.5).all()


def test_a_take_of_another_size_is_refused_with_both_sizes(
    footage: PanningClip, report: "Recorder", photo: "Photo"
) -> None:
    store = Memory({"painting": StoredPicture(photo(64, 64))})
    with pytest.raises(InvalidValueError, match=r"64x64.*160x90"):
        run(footage, plan_of(footage, [KeyFrame(3, take="painting")]), report, store)


def test_a_painter_that_asks_for_it_gets_all_of_anchor_and_previous(
    footage: PanningClip, report: "Recorder", monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: dict[int, PaintRequest] = {}

    class Copyist:
        def advice(self, settings: TranslationSettings) -> str:
            return ""

        def paint(self, request: PaintRequest, report: Report) -> FloatArray:
            requests[request.frame] = request
            request.keep(Trajectory("copyist", (request.frame,), np.zeros((1, 4, 1, 1))))
            return request.source

    monkeypatch.setattr(pipeline, "painter_named", lambda _name: Copyist())
    plan = plan_of(
        footage, [0, 5, 6, 11], recipes=lambda _: Recipe("copy", paints_against_others=True)
    )
    store = run(footage, replace(plan, intervals=()), report)
    shown = {frame: len(request.references) for frame, request in requests.items()}
    assert shown == {0: 0, 5: 1, 6: 2, 11: 2}
    anchor, previous = requests[11].references
    for reference, frame in ((anchor, 0), (previous, 6)):
        there, here = (to_painting_space(footage.read(index)) for index in (frame, 11))
        assert np.array_equal(reference.take, store.load(plan.takes[frame]).pixels)
        assert np.array_equal(reference.source, there)
        to_reference, back = (DisFlow().estimate(*pair) for pair in ((here, there), (there, here)))
        assert np.array_equal(reference.flow.displacement, to_reference.displacement)
        assert np.array_equal(reference.occlusion, occlusion_mask(to_reference, back))
        assert reference.trajectory is not None
        assert reference.trajectory.times == (frame,)


def test_a_control_movie_gives_each_key_frame_and_its_references_their_own_pictures(
    footage: PanningClip, report: "Recorder", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Numbered from 1001, of twice the size: the first belongs to the first frame of the clip."""
    for number in range(12):
        picture = np.full((180, 320, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"pose.{1001 + number}.png"), picture)
    requests: dict[int, PaintRequest] = {}

    class Copyist:
        def advice(self, settings: TranslationSettings) -> str:
            return ""

        def paint(self, request: PaintRequest, report: Report) -> FloatArray:
            requests[request.frame] = request
            return request.source

    monkeypatch.setattr(pipeline, "painter_named", lambda _name: Copyist())
    plan = plan_of(footage, [0, 7], recipes=lambda _: Recipe("copy", paints_against_others=True))
    settings = TranslationSettings(
        controlnet_image="movie", control_movie=str(tmp_path / "pose.%04d.png")
    )
    paints = tuple(replace(paint, settings=settings) for paint in plan.paints)
    run(footage, replace(plan, paints=paints, intervals=()), report)

    def shown(picture: FloatArray | None) -> float:
        assert picture is not None
        assert picture.shape == (90, 160, 3)
        return float(picture.mean() * 255)

    assert shown(requests[7].control_picture) == pytest.approx(140, abs=0.1)
    assert shown(requests[7].references[0].control_picture) == pytest.approx(0, abs=0.1)
    (tmp_path / "pose.1012.png").unlink()
    late = plan_of(footage, [11], recipes=lambda _: Recipe("copy"))
    late = replace(late, paints=(replace(late.paints[0], settings=settings),))
    with pytest.raises(InvalidValueError, match="has 11 frames and none for frame 11"):
        run(footage, late, report)
