import numpy as np

from engine.motion.occlusion import occlusion_mask
from engine.types import FloatArray, Flow

SIZE = 64
SQUARE = slice(20, 36)
STEP = 6


def moving_square() -> tuple[Flow, Flow]:
    """A square that moves to the right by STEP before a still background."""
    forward = np.zeros((SIZE, SIZE, 2), np.float32)
    forward[SQUARE, SQUARE, 0] = STEP
    backward = np.zeros((SIZE, SIZE, 2), np.float32)
    backward[SQUARE, SQUARE.start + STEP : SQUARE.stop + STEP, 0] = -STEP
    return Flow(forward), Flow(backward)


def mask() -> FloatArray:
    return occlusion_mask(*moving_square())


def test_what_the_square_comes_to_cover_is_occluded() -> None:
    covered = mask()[SQUARE, SQUARE.stop : SQUARE.stop + STEP]
    assert (covered == 1).all()


def test_what_moves_and_what_stands_still_have_a_match() -> None:
    assert (mask()[SQUARE, SQUARE.start : SQUARE.stop - 10] == 0).all()
    assert (mask()[:, :10] == 0).all()


def test_the_edge_of_the_mask_is_widened_and_soft() -> None:
    row = mask()[28, SQUARE.stop + STEP - 1 : SQUARE.stop + STEP + 9]
    assert row[0] == 1
    assert (np.diff(row) <= 0).all()
    assert row[-1] == 0
    assert ((row > 0) & (row < 1)).any()


def test_equal_pictures_have_no_occlusion() -> None:
    still = Flow(np.zeros((16, 16, 2), np.float32))
    assert not occlusion_mask(still, still).any()


def test_an_error_of_half_a_pixel_is_tolerated() -> None:
    still = Flow(np.zeros((16, 16, 2), np.float32))
    off = Flow(np.full((16, 16, 2), (0.49, 0), np.float32))
    far_off = Flow(np.full((16, 16, 2), (0.6, 0), np.float32))
    assert not occlusion_mask(still, off).any()
    assert occlusion_mask(still, far_off).all()


def test_what_comes_into_view_at_the_border_has_no_match() -> None:
    """Though the way there and back, which stops at the border, may end where it began."""
    panned = np.zeros((SIZE, SIZE, 2), np.float32)
    panned[..., 0] = 5
    occluded = occlusion_mask(Flow(panned), Flow(-panned))
    assert (occluded[:, -5:] == 1).all()
    assert (occluded[:, :-5] == 0).all()
