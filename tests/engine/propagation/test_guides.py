from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.propagation.guides import frame_guides, guide_weights, key_frame_guides
from engine.settings import PropagationSettings
from engine.types import Flow

if TYPE_CHECKING:
    from tests.engine.conftest import Photo

COLOR, EDGE, POSITION, TEMPORAL = slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 11)


def shift(x: float, y: float, size: tuple[int, int] = (40, 60)) -> Flow:
    return Flow(np.full((*size, 2), (x, y), np.float32))


def test_a_guide_weighs_what_its_setting_says_however_many_planes_it_has() -> None:
    weights = guide_weights(PropagationSettings())
    totals = [weights[planes].sum() for planes in (COLOR, EDGE, POSITION, TEMPORAL)]
    assert totals == pytest.approx([6, 0.5, 2, 0.5])
    assert len(weights) == 11


@pytest.mark.parametrize(
    ("setting", "planes"),
    [
        ("color_weight", COLOR),
        ("edge_weight", EDGE),
        ("position_weight", POSITION),
        ("temporal_weight", TEMPORAL),
    ],
)
def test_every_guide_can_be_switched_off_alone(setting: str, planes: slice) -> None:
    off: dict[str, Any] = {setting: 0.0}
    weights = guide_weights(replace(PropagationSettings(), **off))
    assert not weights[planes].any()
    assert np.count_nonzero(weights) == 11 - (planes.stop - planes.start)


def test_a_frame_like_its_key_frame_has_the_same_guides(photo: "Photo") -> None:
    source, take = photo(40, 60), photo(40, 60, seed=1)
    assert np.array_equal(
        frame_guides(source, shift(0, 0), take, shift(0, 0)), key_frame_guides(source, take)
    )


def test_the_temporal_guide_is_the_take_and_then_the_picture_before_moved_along(
    photo: "Photo",
) -> None:
    source, take = photo(40, 60), photo(40, 60, seed=1)
    at_key = key_frame_guides(source, take)[..., TEMPORAL]
    assert np.array_equal(at_key, np.rint(take * 255))
    moved = frame_guides(source, shift(9, 9), take, shift(3, 2))[..., TEMPORAL]
    assert np.array_equal(moved[:-2, :-3], at_key[2:, 3:])


def test_the_position_guide_tells_where_a_pixel_was_in_the_key_frame(photo: "Photo") -> None:
    source = photo(40, 60)
    at_key = key_frame_guides(source, source)[..., POSITION]
    moved = frame_guides(source, shift(6, 4), source, shift(0, 0))[..., POSITION]
    assert np.array_equal(moved[:-4, :-6], at_key[4:, 6:])


def test_a_pixel_weighs_the_same_across_and_down(photo: "Photo") -> None:
    position = key_frame_guides(photo(64, 256), photo(64, 256))[..., POSITION].astype(int)
    assert np.array_equal(position[10, 10:60, 0], position[10:60, 10, 1])


def test_the_edge_guide_is_flat_where_the_picture_is_and_tells_light_from_dark() -> None:
    source = np.full((20, 20, 3), 0.5, np.float32)
    source[10, 5], source[10, 15] = 0.7, 0.3
    edges = key_frame_guides(source, source)[..., EDGE]
    assert (edges[0, 0] == 128).all()
    assert (edges[10, 5] < 128).all()
    assert (edges[10, 15] > 128).all()
