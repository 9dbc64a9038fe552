"""Guided patch synthesis: the native kernels against their twin, and what an editor would see."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import InbetweenError, InvalidValueError
from engine.native import abi
from engine.native.kernels import (
    DeviceFlow,
    InstructionSet,
    Kernels,
    SynthesisTask,
    best_instruction_set,
)
from engine.native.parameters import SynthesisParameters
from engine.native.reference import synthesis as twin
from engine.types import FloatArray

PROCESSOR = Kernels.processor()


@dataclass(frozen=True)
class Made:
    """What a synthesis gives."""

    picture: FloatArray
    source_xy: NDArray[np.int32]
    patch_error: FloatArray


@dataclass(frozen=True)
class Case:
    """The arrays of one call, with the parameters that belong to them."""

    style: FloatArray
    source_guides: NDArray[np.uint8]
    target_guides: NDArray[np.uint8]
    to_source: FloatArray
    confidence: FloatArray
    parameters: SynthesisParameters
    temporal_confidence: FloatArray | None = None

    def run(self, kernels: Kernels = PROCESSOR) -> Made:
        return run_all([self], kernels)[0]

    def task(self, kernels: Kernels) -> SynthesisTask:
        upload, trust = kernels.upload, self.temporal_confidence
        return SynthesisTask(
            upload(self.style),
            upload(self.source_guides),
            upload(self.target_guides),
            DeviceFlow(upload(self.to_source), upload(self.confidence)),
            self.parameters,
            None if trust is None else upload(trust),
        )

    def run_twin(self) -> Made:
        return Made(*twin.synthesize(**vars(self)))

    def but(self, **parameters: float) -> "Case":
        return replace(self, parameters=replace(self.parameters, **parameters))  # type: ignore[arg-type]


def run_all(cases: Sequence[Case], kernels: Kernels) -> list[Made]:
    """In one call."""
    download = kernels.download
    return [
        Made(download(made.picture), download(made.source_xy), download(made.patch_error))
        for made in kernels.synthesize([case.task(kernels) for case in cases])
    ]


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
    weights = 3 * random.random(guides, np.float32)
    trust = np.random.default_rng(seed + 1).random(size, np.float32)
    trust[trust > 0.9] = np.nan
    return Case(
        random.random((*source_size, 3), np.float32),
        random.integers(0, 256, (*source_size, guides), np.uint8),
        random.integers(0, 256, (*size, guides), np.uint8),
        (xy + random.normal(0, 3, xy.shape) - positions(height, width)).astype(np.float32),
        random.random(size, np.float32),
        SynthesisParameters(tuple(weights.tolist()), search_vote_iterations=3, seed=7),
        trust if guides >= 3 else None,
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
    to_source = xy.astype(np.float32) - positions(height, width)
    certain = np.ones((height, width), np.float32)
    parameters = SynthesisParameters((2.0, 2.0, 2.0))
    return Case(style, as_guide(source), as_guide(moved), to_source, certain, parameters)


def psnr_db(first: FloatArray, second: FloatArray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2, dtype=np.float64) + 1e-12))


def assert_equal(first: Made, second: Made) -> None:
    np.testing.assert_array_equal(first.source_xy, second.source_xy)
    np.testing.assert_array_equal(first.patch_error, second.patch_error)
    # Sums in double may be taken in another order: one rounding to float32 apart at most.
    np.testing.assert_array_max_ulp(first.picture, second.picture, maxulp=1)


@pytest.mark.parametrize(
    ("size", "source_size", "guides", "patch_size"),
    [
        ((1, 1), (1, 1), 1, 3),
        ((1, 1), (4, 9), 2, 15),
        ((9, 7), (1, 1), 2, 5),
        ((1, 41), (1, 33), 3, 5),
        ((37, 1), (37, 2), 5, 7),
        ((1, 1), (1, 1), 3, 5),
        ((23, 35), (31, 26), 9, 5),
        ((33, 34), (33, 34), 16, 3),
        ((45, 29), (29, 45), 13, 3),
        ((61, 47), (52, 55), 9, 5),
        ((26, 25), (26, 25), 4, 5),
        ((26, 27), (28, 25), 3, 5),
        ((25, 31), (27, 26), 7, 5),
        ((19, 22), (21, 20), 61, 15),
        ((20, 35), (35, 19), 2, 9),
        ((17, 16), (18, 17), 1, 15),
    ],
)
def test_every_field_equals_its_twin_bit_for_bit(
    kernels: Kernels,
    size: tuple[int, int],
    source_size: tuple[int, int],
    guides: int,
    patch_size: int,
) -> None:
    case = noise_case(size, source_size, guides).but(patch_size=patch_size)
    assert_equal(case.run(kernels), case.run_twin())


@pytest.mark.parametrize("guides", [3, 8, 9, 13])
@pytest.mark.parametrize("trust", [None, 0.0, 0.4999, 0.5, 1.0])
def test_every_trust_in_the_temporal_guide_counts_as_in_the_twin(
    kernels: Kernels, guides: int, trust: float | None
) -> None:
    case = noise_case((25, 26), (24, 27), guides)
    everywhere = None if trust is None else np.full_like(case.confidence, trust)
    case = replace(case, temporal_confidence=everywhere)
    assert_equal(case.run(kernels), case.run_twin())


@pytest.mark.parametrize("weight", [0.0, 2.0, 1e9])
@pytest.mark.parametrize("parameter", ["uniformity", "position_weight"])
def test_every_weight_counts_as_in_the_twin(
    kernels: Kernels, parameter: str, weight: float
) -> None:
    case = noise_case((25, 24), (25, 24), 3).but(**{parameter: weight})
    assert_equal(case.run(kernels), case.run_twin())


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    case = noise_case((90, 131), (77, 120), 9)
    expected = case.run(Kernels.processor(threads=1))
    assert_equal(expected, case.run(Kernels.processor(threads=threads)))


@pytest.mark.parametrize("patch_size", [3, 5, 7, 15])
@pytest.mark.parametrize("guides", [1, 9, 13, 14, 30, 61])
def test_all_instruction_sets_give_the_same(patch_size: int, guides: int) -> None:
    case = noise_case((27, 45), (32, 29), guides).but(patch_size=patch_size)
    expected = case.run(Kernels.processor(instruction_set=InstructionSet.PLAIN))
    for instruction_set in InstructionSet:
        if instruction_set <= best_instruction_set():
            assert_equal(expected, case.run(Kernels.processor(instruction_set=instruction_set)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_syntheses_side_by_side_give_what_each_gives_alone(kernels: Kernels, count: int) -> None:
    """Of different sizes, pyramids, patches and lengths; one that settles at once among them."""
    kinds = [
        noise_case((61, 47), (52, 55), 9),
        noise_case((61, 47), (52, 55), 9, seed=5).but(search_vote_iterations=1),
        moved_case(strokes(40, 48), strokes(40, 48), (0, 0)).but(search_vote_iterations=9),
        noise_case((3, 90), (70, 2), 2),
        noise_case((30, 31), (33, 28), 13).but(patch_size=7),
        noise_case((97, 140), (90, 150), 9).but(search_vote_iterations=6),
    ]
    cases = [kinds[i % len(kinds)] for i in range(count)]
    for case, made in zip(cases, run_all(cases, kernels), strict=True):
        assert_equal(made, case.run_twin())


@pytest.mark.parametrize("sizes", [[(50, 60), (64, 48)], [(1, 1), (120, 90), (33, 70), (8, 9)]])
def test_usual_patches_side_by_side_give_what_each_gives_alone(
    kernels: Kernels, sizes: list[tuple[int, int]]
) -> None:
    cases = [noise_case(size, size, 9, seed=number) for number, size in enumerate(sizes)]
    for case, made in zip(cases, run_all(cases, kernels), strict=True):
        assert_equal(made, case.run_twin())


def test_memory_of_a_larger_call_does_not_show_in_a_smaller_one(kernels: Kernels) -> None:
    small, large = noise_case((21, 30), (25, 19), 5), noise_case((80, 70), (75, 90), 9)
    expected = small.run(kernels)
    large.run(kernels)
    assert_equal(small.run(kernels), expected)


def test_another_seed_gives_another_search() -> None:
    case = noise_case((40, 40), (40, 40), 3)
    first, second = (case.but(seed=seed).run() for seed in (0, 2**32 - 1))
    assert (first.source_xy != second.source_xy).any()


def test_a_frame_like_its_key_frame_gets_the_take_itself(bunny: Path) -> None:
    with av.open(str(bunny)) as container:
        frame = next(container.decode(video=0)).reformat(width=160, height=90, format="rgb24")
    source = np.asarray(frame.to_ndarray() / 255, np.float32)
    made = moved_case(source, source, (0, 0)).run()
    assert psnr_db(made.picture, source) > 50
    assert made.patch_error.mean() < 20


def test_strokes_move_with_the_picture_and_stay_sharp() -> None:
    source, style = strokes(80, 96), strokes(96, 80).transpose(1, 0, 2).copy()
    made = moved_case(style, source, (6, -3)).run()
    inner = np.s_[8:-8, 8:-8]
    expected = np.roll(style, (-3, 6), axis=(0, 1))
    assert psnr_db(made.picture[inner], expected[inner]) > 45


def test_a_picture_that_creeps_by_fractions_of_a_pixel_does_not_jump() -> None:
    """By whole pixels alone, half of one away is 30 dB."""
    fine = strokes(320, 320)

    def seen(quarters: int) -> FloatArray:
        moved = np.roll(fine, quarters, axis=1)
        return np.asarray(cv2.resize(moved, (80, 80), interpolation=cv2.INTER_AREA))

    still = seen(0)
    inner = np.s_[8:-8, 8:-8]
    for quarters in range(1, 4):
        to_source = np.zeros((80, 80, 2), np.float32)
        to_source[..., 0] = -quarters / 4
        case = replace(moved_case(still, still, (0, 0)), to_source=to_source)
        expected = seen(quarters)
        made = replace(case, target_guides=as_guide(expected)).run()
        assert psnr_db(made.picture[inner], expected[inner]) > 34


def test_a_highlight_gets_no_ring_darker_than_black(kernels: Kernels) -> None:
    source = strokes(48, 48)
    style = np.where(source > 0.7, np.float32(40), np.float32(0.01))
    case = moved_case(style, source, (0, 0))
    halfway = np.full_like(case.to_source, -0.5 + 1 / 64)
    made = replace(case, to_source=halfway).run(kernels)
    assert 0 <= made.picture.min() < made.picture.max() <= 40


def test_motion_that_the_flow_missed_is_found() -> None:
    source = strokes(80, 96)
    case = moved_case(source, source, (3, 2))
    made = replace(case, to_source=np.zeros_like(case.to_source)).run()
    inner = np.s_[8:-8, 8:-8]
    expected = np.roll(source, (2, 3), axis=(0, 1))
    assert psnr_db(made.picture[inner], expected[inner]) > 35


def test_patches_stay_close_to_a_flow_that_is_trusted() -> None:
    """The position guide, and what confidence does to it."""
    case = noise_case((60, 60), (60, 60), 3).but(position_weight=50.0)
    flow = (positions(60, 60) + case.to_source).clip(0, 59)

    def distance(confidence: float) -> float:
        certain = np.full_like(case.confidence, confidence)
        made = replace(case, confidence=certain).run()
        return float(np.linalg.norm(made.source_xy - flow, axis=-1).mean())

    assert distance(1.0) < 0.5 * distance(0.0)


@pytest.mark.parametrize("patch_size", [5, 7])
def test_what_the_frame_before_shows_counts_only_where_it_is_trusted(
    kernels: Kernels, patch_size: int
) -> None:
    """Not even a nonsense picture does harm where the way to it is not trusted."""
    case = noise_case((48, 64), (50, 60), 9).but(patch_size=patch_size)
    trust = np.ones((48, 64), np.float32)
    trust[:, :32] = 0  # pixels of coarser levels lie on one side
    case = replace(case, temporal_confidence=trust)
    made = case.run(kernels)

    def with_nonsense(columns: slice) -> Made:
        guides = case.target_guides.copy()
        guides[:, columns, -3:] ^= 255
        return replace(case, target_guides=guides).run(kernels)

    assert_equal(with_nonsense(np.s_[:32]), made)
    assert (with_nonsense(np.s_[32:]).source_xy != made.source_xy).any()


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0, 17.25])
def test_a_flat_take_stays_exactly_flat(kernels: Kernels, value: float) -> None:
    case = noise_case((40, 50), (45, 45), 3)
    flat = np.full_like(case.style, value)
    made = replace(case, style=flat).run(kernels)
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
    case = noise_case((60, 60), (60, 60), 1).but(position_weight=0.0)
    blank = np.zeros_like(case.source_guides)
    corner = 30 - positions(60, 60)
    case = replace(case, source_guides=blank, target_guides=blank, to_source=corner)

    def most_used(uniformity: float) -> int:
        field = case.but(uniformity=uniformity).run().source_xy
        return int(np.unique(field.reshape(-1, 2), axis=0, return_counts=True)[1].max())

    assert most_used(3500) < most_used(0)


def test_strided_views_are_taken_as_they_look() -> None:
    case = noise_case((30, 32), (30, 32), 3)
    flipped = replace(case, style=case.style[::-1], target_guides=case.target_guides[:, ::-1])
    assert not flipped.target_guides.flags.c_contiguous
    copied = replace(case, style=flipped.style.copy(), target_guides=flipped.target_guides.copy())
    assert_equal(flipped.run(), copied.run())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda case: replace(case, style=case.style.astype(np.float64)), "style is float64"),
        (lambda case: replace(case, style=case.style[..., :2]), r"style is float32 \[20, 20, 2\]"),
        (lambda case: replace(case, style=case.style[:0]), "source_guides"),
        (lambda case: replace(case, source_guides=case.source_guides[1:]), "source_guides"),
        (lambda case: replace(case, target_guides=case.target_guides[0]), "target_guides"),
        (lambda case: case.but(guide_weights=(1.0, 1.0)), "source_guides"),
        (lambda case: case.but(guide_weights=(1.0, -1.0, 1.0)), "0 or more"),
        (lambda case: replace(case, to_source=case.to_source[1:]), "confidence"),
        (lambda case: replace(case, confidence=case.confidence[1:]), "confidence"),
        (lambda case: replace(case, temporal_confidence=case.confidence[1:]), "temporal_conf"),
        (lambda _: noise_case((5, 5), (5, 5), 62), "guide_channels is 62"),
        (
            lambda case: replace(
                noise_case((20, 20), (20, 20), 2), temporal_confidence=case.confidence
            ),
            "guide_channels is 2: choose 3 to 61",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    kernels: Kernels, change: Callable[[Case], Case], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        change(noise_case((20, 20), (20, 20), 3)).run(kernels)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("patch_size", 4),
        ("patch_size", 17),
        ("uniformity", -1.0),
        ("uniformity", float("nan")),
        ("position_weight", float("inf")),
        ("search_vote_iterations", 0),
        ("stop_threshold", 256),
    ],
)
def test_parameters_out_of_range_are_refused(
    kernels: Kernels, parameter: str, value: float
) -> None:
    with pytest.raises(InvalidValueError, match=f"{parameter} is .*choose"):
        noise_case((20, 20), (20, 20), 3).but(**{parameter: value}).run(kernels)


@pytest.mark.parametrize("value", [1e30, -1e30, np.nan, np.inf])
def test_a_flow_that_leads_anywhere_ends_inside_the_key_frame(
    kernels: Kernels, value: float
) -> None:
    case = noise_case((20, 20), (20, 20), 3)
    field = replace(case, to_source=np.full_like(case.to_source, value)).run(kernels).source_xy
    assert field.min() >= 0
    assert field.max() <= 19


def test_a_picture_of_numbers_that_are_none_harms_nothing(kernels: Kernels) -> None:
    case = noise_case((20, 20), (20, 20), 3)
    hollow = np.full_like(case.confidence, np.nan)
    replace(case, style=np.full_like(case.style, np.nan), confidence=hollow).run(kernels)
    assert_equal(case.run(kernels), case.run_twin())


def test_the_native_door_refuses_what_would_crash() -> None:
    library = abi.load_library("inbetween_kernels")
    assert library.inbetween_synthesize(None, None, 1) == 1
    assert library.inbetween_last_error() == b"context is missing."


def test_a_struct_of_another_size_than_the_kernels_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Warp(abi.Struct):
        _fields_ = (("width", ctypes.c_int32),)

    monkeypatch.setattr(abi, "STRUCTS", (*abi.STRUCTS, Warp))
    abi.load_library.cache_clear()
    with pytest.raises(InbetweenError, match=r"inbetween_warp of 48 bytes, 4 are needed"):
        abi.load_library("inbetween_kernels")


def test_the_parameters_of_a_kernel_are_all_of_them_and_by_name() -> None:
    with pytest.raises(TypeError, match="halfs, halves"):
        abi.Halves(count=1, values=None, halfs=None)


def test_missing_kernels_say_how_to_build_them() -> None:
    with pytest.raises(InbetweenError, match="pip install"):
        abi.load_library("absent")
