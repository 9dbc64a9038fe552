from typing import TYPE_CHECKING

import cv2
import numpy as np

from engine.translation.method.colors import match_colors

if TYPE_CHECKING:
    from tests.engine.conftest import Photo


def test_a_picture_gets_the_colours_of_another_and_keeps_its_light(photo: "Photo") -> None:
    picture = 0.25 + 0.5 * photo(48, 64)
    like = 0.3 + 0.4 * photo(40, 56, 1) * np.array([1.0, 0.6, 0.4], np.float32)
    matched = match_colors(picture, like)
    before, after, wanted = (
        cv2.cvtColor(each, cv2.COLOR_RGB2LAB) for each in (picture, matched, like)
    )
    assert np.abs(after[..., 0] - before[..., 0]).mean() < 1
    for channel in (1, 2):
        shares = np.linspace(0.05, 0.95, 10)
        got, should = (np.quantile(each[..., channel], shares) for each in (after, wanted))
        assert np.abs(got - should).max() < 3


def test_a_picture_with_the_colours_already_stays_as_it_is(photo: "Photo") -> None:
    picture = photo(48, 64)
    assert np.abs(match_colors(picture, picture) - picture).max() < 0.01
