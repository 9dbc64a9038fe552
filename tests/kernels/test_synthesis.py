"""Guided patch synthesis: the native kernel against its twin, and what an editor would see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import InbetweenError, InvalidValueError
from engine.native import library, reference, synthesis
from engine.native.synthesis import (
    InstructionSet,
    Synthesis,
    SynthesisParameters,
    best_instruction_set,
    synthesize,
)
from engine.types import FloatArray


@dataclass(frozen=True)
class Case:
    """The arrays of one call."""

    style: FloatArray
    source_guides: NDArray[np.uint8]
    target_guides: NDArray[np.uint8]
    guide_weights: FloatArray
    initial_xy: FloatArray

    def run(self, parameters: SynthesisParameters | None = None) -> Synthesis:
        return synthesize(**vars(self), parameters=parameters or SynthesisParameters())

    def run_twin(self, parameters: SynthesisParameters) -> Synthesis:
        return reference.synthesize(**vars(self), parameters=parameters)


def positions(height: int, width: int) -> FloatArray:
    y, x = np.indices((height, width), np.float32)
    return np.stack([x, y], axis=-1)


def noise_case(
    size: tuple[int, int], source_size: tuple[int, int], guides: int, seed: int = 1
) -> Case:
    """Nothing fits anything well: every kind of candidate gets its turn."""
    random = np.random.default_rng(seed)
    (height, width), (source_height, source_width) = size, source_size
    xy = positions(height, width) * np.array([source_width / width, source_height / height])
    return Case(
        random.random((*source_size, 3), np.float32),
        random.integers(0, 256, (*source_size, guides), np.uint8),
        random.integers(0, 256, (*size, guides), np.uint8),
        3 * random.random(guides, np.float32),
        (xy + random.normal(0, 3, xy.shape)).astype(np.float32),
    )


def strokes(height: int, width: int) -> FloatArray:
    """A picture of smooth coloured strokes."""
    noise = np.random.default_rng(2).random((height, width, 3), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray((smooth - smooth.min()) / np.ptp(smooth), np.float32)


def as_guide(picture: FloatArray) -> NDArray[np.uint8]:
    return np.rint(picture * 255).astype(np.uint8)


def moved_case(style: FloatArray, source: FloatArray, shift: tuple[int, int]) -> Case:
    """The whole frame moves by (x, y) pixels; its border goes on."""
    height, width = source.shape[:2]
    xy = (positions(height, width) - shift).clip(0, (width - 1, height - 1)).astype(np.int32)
    moved = source[xy[..., 1], xy[..., 0]]
    weights = np.full(3, 2, np.float32)
    return Case(style, as_guide(source), as_guide(moved), weights, xy.astype(np.float32))


def psnr_db(first: FloatArray, second: FloatArray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2, dtype=np.float64) + 1e-12))


def assert_equal(first: Synthesis, second: Synthesis) -> None:
    np.testing.assert_array_equal(first.field.source_xy, second.field.source_xy)
    np.testing.assert_array_equal(first.field.patch_error, second.field.patch_error)
    np.testing.assert_array_equal(first.picture, second.picture)


@pytest.mark.parametrize(
    ("size", "source_size", "guides", "patch_size"),
    [
        ((1, 1), (1, 1), 1, 3),
        ((1, 1), (4, 9), 2, 15),
        ((9, 7), (1, 1), 2, 5),
        ((1, 41), (1, 33), 3, 5),
        ((37, 1), (37, 2), 5, 7),
        ((23, 35), (31, 26), 12, 5),
        ((33, 34), (33, 34), 16, 3),
        ((45, 29), (29, 45), 13, 3),
        ((26, 25), (26, 25), 4, 5),
        ((20, 35), (35, 19), 2, 9),
        ((17, 16), (18, 17), 1, 15),
    ],
)
def test_the_native_field_equals_its_twin_bit_for_bit(
    size: tuple[int, int], source_size: tuple[int, int], guides: int, patch_size: int
) -> None:
    case = noise_case(size, source_size, guides)
    parameters = SynthesisParameters(patch_size=patch_size, search_vote_iterations=2, seed=7)
    native, twin = case.run(parameters), case.run_twin(parameters)
    np.testing.assert_array_equal(native.field.source_xy, twin.field.source_xy)
    np.testing.assert_array_equal(native.field.patch_error, twin.field.patch_error)
    # Sums in double may be taken in another order: one rounding to float32 apart at most.
    np.testing.assert_array_max_ulp(native.picture, twin.picture, maxulp=1)


@pytest.mark.parametrize("uniformity", [0.0, 3500.0, 1e9])
def test_the_twin_knows_every_uniformity(uniformity: float) -> None:
    case = noise_case((25, 24), (25, 24), 3)
    parameters = SynthesisParameters(uniformity=uniformity, search_vote_iterations=2)
    native, twin = case.run(parameters), case.run_twin(parameters)
    np.testing.assert_array_equal(native.field.source_xy, twin.field.source_xy)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    case = noise_case((90, 131), (77, 120), 12)
    assert_equal(
        case.run(SynthesisParameters(threads=1)), case.run(SynthesisParameters(threads=threads))
    )


@pytest.mark.parametrize("patch_size", [3, 5, 7, 15])
@pytest.mark.parametrize("guides", [1, 13, 14, 30])
def test_all_instruction_sets_give_the_same(patch_size: int, guides: int) -> None:
    case = noise_case((27, 45), (32, 29), guides)
    plain = SynthesisParameters(
        patch_size=patch_size, search_vote_iterations=1, instruction_set=InstructionSet.PLAIN
    )
    expected = case.run(plain)
    for instruction_set in InstructionSet:
        if instruction_set <= best_instruction_set():
            assert_equal(expected, case.run(replace(plain, instruction_set=instruction_set)))


def test_another_seed_gives_another_search() -> None:
    case = noise_case((40, 40), (40, 40), 3)
    first, second = (case.run(SynthesisParameters(seed=seed)) for seed in (0, 2**32 - 1))
    assert (first.field.source_xy != second.field.source_xy).any()


def test_a_frame_like_its_key_frame_gets_the_take_itself(bunny: Path) -> None:
    with av.open(str(bunny)) as container:
        frame = next(container.decode(video=0)).reformat(width=160, height=90, format="rgb24")
    source = np.asarray(frame.to_ndarray() / 255, np.float32)
    made = moved_case(source, source, (0, 0)).run()
    assert psnr_db(made.picture, source) > 50
    assert made.field.patch_error.mean() < 20


def test_strokes_move_with_the_picture_and_stay_sharp() -> None:
    source, style = strokes(80, 96), strokes(96, 80).transpose(1, 0, 2).copy()
    case = moved_case(style, source, (6, -3))
    made = case.run()
    inner = np.s_[8:-8, 8:-8]
    expected = np.roll(style, (-3, 6), axis=(0, 1))
    assert psnr_db(made.picture[inner], expected[inner]) > 45


def test_motion_that_the_flow_missed_is_found() -> None:
    source = strokes(80, 96)
    case = moved_case(source, source, (3, 2))
    made = replace(case, initial_xy=positions(80, 96)).run()
    inner = np.s_[8:-8, 8:-8]
    expected = np.roll(source, (2, 3), axis=(0, 1))
    assert psnr_db(made.picture[inner], expected[inner]) > 35


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0, 17.25])
def test_a_flat_take_stays_exactly_flat(value: float) -> None:
    case = noise_case((40, 50), (45, 45), 3)
    flat = np.full_like(case.style, value)
    made = replace(case, style=flat).run()
    assert (made.picture == flat[0, 0, 0]).all()


def test_colours_keep_their_precision_and_range() -> None:
    source = strokes(48, 48)
    fine = np.float32(0.5) + source * np.float32(1 / 2048)
    made = moved_case(fine, source, (0, 0)).run()
    assert len(np.unique(made.picture)) > 1000
    assert np.abs(made.picture - fine).max() < 1 / 4096
    bright = moved_case(source * 40 - 2, source, (0, 0)).run()
    assert bright.picture.max() > 35
    assert bright.picture.min() < -1
    assert bright.picture.max() <= (source * 40 - 2).max()


def test_uniformity_keeps_one_spot_from_being_used_for_everything() -> None:
    """Where guides tell nothing, the source is used evenly."""
    case = noise_case((60, 60), (60, 60), 1)
    blank = np.zeros_like(case.source_guides)
    corner = np.full_like(case.initial_xy, 30)
    case = replace(case, source_guides=blank, target_guides=blank, initial_xy=corner)

    def most_used(uniformity: float) -> int:
        field = case.run(SynthesisParameters(uniformity=uniformity)).field.source_xy
        return int(np.unique(field.reshape(-1, 2), axis=0, return_counts=True)[1].max())

    assert most_used(3500) < most_used(0)


def test_strided_views_are_taken_as_they_look() -> None:
    case = noise_case((30, 32), (30, 32), 3)
    flipped = {name: array[::-1] for name, array in vars(case).items()}
    copies = {name: np.ascontiguousarray(array) for name, array in flipped.items()}
    assert_equal(Case(**flipped).run(), Case(**copies).run())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda case: replace(case, style=case.style.astype(np.float64)), "style is float64"),
        (lambda case: replace(case, style=case.style[..., :2]), r"style is float32 \[20, 20, 2\]"),
        (lambda case: replace(case, style=case.style[:0]), "source_guides"),
        (lambda case: replace(case, source_guides=case.source_guides[1:]), "source_guides"),
        (lambda case: replace(case, target_guides=case.target_guides[0]), "target_guides"),
        (lambda case: replace(case, guide_weights=case.guide_weights[1:]), "guide_weights"),
        (lambda case: replace(case, guide_weights=-case.guide_weights), "0 or more"),
        (lambda case: replace(case, initial_xy=case.initial_xy[1:]), "initial_xy"),
        (lambda case: replace(case, initial_xy=case.initial_xy * np.nan), "not finite"),
        (lambda case: replace(case, style=case.style + np.inf), "not finite"),
        (lambda _: noise_case((5, 5), (5, 5), 62), "62 guide channels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: Callable[[Case], Case], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        change(noise_case((20, 20), (20, 20), 3)).run()


@pytest.mark.parametrize(
    "parameters",
    [
        SynthesisParameters(patch_size=4),
        SynthesisParameters(patch_size=17),
        SynthesisParameters(uniformity=-1.0),
        SynthesisParameters(uniformity=float("nan")),
        SynthesisParameters(search_vote_iterations=0),
        SynthesisParameters(threads=-1),
        SynthesisParameters(seed=-1),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: SynthesisParameters) -> None:
    with pytest.raises(InvalidValueError, match="choose"):
        noise_case((20, 20), (20, 20), 3).run(parameters)


def test_positions_far_outside_the_key_frame_are_brought_to_its_border() -> None:
    case = noise_case((20, 20), (20, 20), 3)
    far = replace(case, initial_xy=case.initial_xy * np.float32(1e30))
    field = far.run().field.source_xy
    assert field.min() >= 0
    assert field.max() <= 19


def test_the_native_door_refuses_what_would_crash() -> None:
    kernels = library.load_library()
    assert kernels.inbetween_synthesize(None) == 1
    assert kernels.inbetween_last_error() == b"parameters is missing."
    empty = library.NativeSynthesis(5, 5, 5, 5, 3, 5, 6, 0, 0, 0, 3500.0)
    assert kernels.inbetween_synthesize(empty) == 1
    assert kernels.inbetween_last_error() == b"source_guides is missing."


def test_missing_kernels_say_how_to_build_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_NAME", "libabsent.so")
    library.load_library.cache_clear()
    with pytest.raises(InbetweenError, match="pip install"):
        synthesis.best_instruction_set()
    library.load_library.cache_clear()
