from pathlib import Path

import numpy as np
import pytest

from engine.media.color import to_painting_space
from engine.media.movie import MovieSource
from engine.motion.cuts import find_cuts
from engine.types import FloatArray

BIKES_CUTS = [30, 76, 137, 187, 242]

Frames = list[tuple[int, FloatArray]]


def frames_of(path: Path) -> Frames:
    source = MovieSource(path)
    return [
        (index, to_painting_space(source.read(index))) for index in source.clip.frame_range.indices
    ]


@pytest.fixture(scope="module")
def bikes_frames(bikes: Path) -> Frames:
    """Every second row and column: 250 frames in full would fill the memory."""
    source = MovieSource(bikes)
    return [
        (index, to_painting_space(source.read(index))[::2, ::2].copy())
        for index in source.clip.frame_range.indices
    ]


def test_all_cuts_of_a_real_clip_are_found_and_nothing_else(bikes_frames: Frames) -> None:
    assert find_cuts(bikes_frames) == BIKES_CUTS


def test_a_clip_in_one_shot_has_no_cut(carphone: Path) -> None:
    assert find_cuts(frames_of(carphone)) == []


@pytest.mark.parametrize(("first", "last"), [(29, 30), (30, 80), (70, 140), (240, 249)])
def test_any_part_of_a_clip_has_the_same_cuts(bikes_frames: Frames, first: int, last: int) -> None:
    inside = [cut for cut in BIKES_CUTS if first < cut <= last]
    assert find_cuts(bikes_frames[first : last + 1]) == inside


def test_what_lies_at_both_sides_of_a_gap_is_not_compared(bikes_frames: Frames) -> None:
    assert find_cuts(bikes_frames[20:25] + bikes_frames[40:45]) == []


def test_no_frames_and_one_pixel_have_no_cuts() -> None:
    assert find_cuts([]) == []
    assert find_cuts([(0, np.zeros((1, 1, 3), np.float32)), (1, np.ones((1, 1, 3), np.float32))])
