from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from engine.errors import InvalidValueError, NotFoundError
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest
from engine.translation.painters import painter_named, recipe_of
from engine.translation.style import LOOKS, look_in
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder

PAINTED_BY_ONNXRUNTIME = Path(__file__).with_name("painted_by_onnxruntime.png")
FULL = TranslationSettings(painter="style", prompt="mosaic", strength=1.0)


def paint(source: FloatArray, settings: TranslationSettings, report: "Recorder") -> FloatArray:
    return painter_named("style").paint(PaintRequest(7, source, settings), report)


def test_a_look_is_found_inside_a_sentence_whatever_its_case() -> None:
    assert look_in("A bright picture, MOSAIC!") == "mosaic"
    assert look_in("Starry  Night over the lake") == "starry night"


def test_an_unknown_look_is_answered_with_the_list_and_the_closest_name() -> None:
    with pytest.raises(NotFoundError, match="did you mean mosaic") as raised:
        look_in("mozaic")
    assert all(look in str(raised.value) for look in LOOKS)


def test_part_of_a_word_names_no_look() -> None:
    with pytest.raises(NotFoundError):
        look_in("mosaics and frostbite")


def test_two_looks_in_one_prompt_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"names the looks mosaic and frost: name one"):
        look_in("mosaic in the frost")


def test_the_words_around_a_look_do_not_make_a_take_out_of_date() -> None:
    sentence = replace(FULL, prompt="a bright picture, mosaic", seed=5)
    assert recipe_of(sentence) == recipe_of(FULL)
    assert recipe_of(replace(FULL, prompt="frost")) != recipe_of(FULL)
    assert recipe_of(replace(FULL, strength=0.5)) != recipe_of(FULL)


@pytest.mark.parametrize("size", [(64, 96), (61, 91), (33, 70)])
def test_a_painting_has_exactly_the_size_of_its_frame(
    photo: "Photo", report: "Recorder", size: tuple[int, int]
) -> None:
    painted = paint(photo(*size), FULL, report)
    assert painted.shape == (*size, 3)
    assert painted.dtype == np.float32
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_an_odd_size_is_not_stretched(photo: "Photo", report: "Recorder") -> None:
    """The odd picture is painted as the even one that it is part of, but for its border."""
    whole = photo(128, 128)
    odd = paint(whole[:, :125], FULL, report)
    even = paint(np.pad(whole[:, :125], ((0, 0), (0, 3), (0, 0)), mode="edge"), FULL, report)
    assert np.abs(odd - even[:, :125]).max() < 1e-5


def test_strength_mixes_the_painting_with_the_source(photo: "Photo", report: "Recorder") -> None:
    source = photo(64, 64)
    full = paint(source, FULL, report)
    half = paint(source, replace(FULL, strength=0.5), report)
    assert np.abs(full - source).mean() > 0.05
    assert np.allclose(half, (full + source) / 2, atol=1e-6)
    assert np.array_equal(paint(source, replace(FULL, strength=0.0), report), source)


def test_a_painting_has_no_8_bit_steps(photo: "Photo", report: "Recorder") -> None:
    assert len(np.unique(paint(photo(48, 1400), FULL, report))) > 256


def test_looks_are_what_another_library_makes_of_the_same_network(report: "Recorder") -> None:
    """Below the source, three looks as ONNX Runtime 1.32 painted them, rounded to 8 bits."""
    sheet = cv2.imread(str(PAINTED_BY_ONNXRUNTIME))
    assert sheet is not None
    source, *paintings = np.split(sheet[:, :, ::-1] / np.float32(255), 4)
    for look, theirs in zip(("mosaic", "old master", "impasto"), paintings, strict=True):
        ours = paint(np.ascontiguousarray(source), replace(FULL, prompt=look), report)
        assert np.abs(ours - theirs).max() < 0.55 / 255


def test_painting_twice_gives_the_same_bits(photo: "Photo", report: "Recorder") -> None:
    source = photo(64, 96)
    assert np.array_equal(paint(source, FULL, report), paint(source, FULL, report))


def test_a_frame_too_small_for_the_network_is_refused_with_its_size(report: "Recorder") -> None:
    with pytest.raises(InvalidValueError, match="100x20"):
        paint(np.zeros((20, 100, 3), np.float32), FULL, report)
