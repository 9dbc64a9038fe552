"""The built-in model, as it is packaged."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from engine.errors import InvalidValueError
from engine.media.color import to_painting_space
from engine.media.source import open_source
from engine.settings import TranslationSettings
from engine.translation.models import files as model_files
from engine.translation.models.files import BASE, CONTROLNET, POCKET, find_files, identity
from engine.translation.painter import PaintRequest
from engine.translation.painters import painter_named, recipe_of
from engine.translation.words.vocabulary import _COLORS, built_in_vocabulary
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder

Paint = Callable[[TranslationSettings], FloatArray]
DRAFT = TranslationSettings(steps=6)


@pytest.fixture
def paint(report: "Recorder", photo: "Photo") -> Paint:
    painter = painter_named("diffusion")
    return lambda settings: painter.paint(PaintRequest(0, photo(96, 128), settings), report)


def test_by_default_key_frames_are_painted_by_it() -> None:
    assert DRAFT.painter == "diffusion"
    assert DRAFT.model == DRAFT.controlnet == POCKET


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a woodcut"}, {"strength": 0.9}, {"seed": 4}, {"controlnet_weight": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_prompt_strength_seed_and_edges_change_what_it_paints(
    paint: Paint, change: dict[str, str | float]
) -> None:
    changed = replace(DRAFT, **change)  # type: ignore[arg-type]
    assert np.abs(paint(changed) - paint(DRAFT)).mean() > 0.01


def test_a_starry_night_is_blue_and_a_woodcut_is_not(paint: Paint) -> None:
    def blueness(prompt: str) -> float:
        red, _, blue = paint(replace(DRAFT, prompt=prompt, strength=0.8)).mean(axis=(0, 1))
        return float(blue - red)

    assert blueness("a woodcut") < 0 < blueness("a starry night painting")


def test_the_higher_the_strength_the_further_from_the_source(paint: Paint, photo: "Photo") -> None:
    source = photo(96, 128)

    def distance(strength: float) -> float:
        painted = paint(replace(DRAFT, prompt="an oil painting", strength=strength))
        return float(np.abs(painted - source).mean())

    assert distance(0.2) < distance(0.5) < distance(0.8)


def test_the_controlnet_holds_the_edges_where_little_else_of_the_source_is_left(
    bunny: Path, report: "Recorder"
) -> None:
    painter = painter_named("diffusion")
    with closing(open_source(bunny)) as clip:
        whole = to_painting_space(clip.read(20))
    source = np.asarray(cv2.resize(whole, (256, 192), interpolation=cv2.INTER_AREA), np.float32)

    def edges(picture: FloatArray) -> FloatArray:
        gray = cv2.cvtColor((picture.clip(0, 1) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        lines = cv2.Canny(gray, 100, 200).astype(np.float32)
        return cv2.GaussianBlur(lines, (0, 0), 2).astype(np.float32)

    def agreement(weight: float) -> float:
        settings = replace(DRAFT, prompt="an ink drawing", strength=1.0, controlnet_weight=weight)
        painted = painter.paint(PaintRequest(0, source, settings), report)
        return float(np.corrcoef(edges(painted).ravel(), edges(source).ravel()).min())

    assert agreement(1.0) > agreement(0.0) + 0.2


def test_its_own_guidance_scale_is_1_and_that_of_stable_diffusion_7_5() -> None:
    assert recipe_of(DRAFT) == recipe_of(replace(DRAFT, guidance_scale=1.0))
    assert recipe_of(DRAFT) != recipe_of(replace(DRAFT, guidance_scale=7.5))
    hub = replace(DRAFT, model="owner/model", controlnet="")
    assert recipe_of(hub) == recipe_of(replace(hub, guidance_scale=7.5))


def test_another_place_and_other_times_of_its_files_make_no_painting_out_of_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = [identity(kind, POCKET) for kind in (BASE, CONTROLNET)]
    copy = tmp_path / "reinstalled"
    shutil.copytree(model_files.pocket_folder(), copy, copy_function=shutil.copyfile)
    for file in copy.rglob("*.*"):
        os.utime(file, (0, 0))
    monkeypatch.setattr(model_files, "pocket_folder", lambda: copy)
    model_files._pocket_digest.cache_clear()
    try:
        assert find_files(BASE, POCKET).folder == copy
        assert [identity(kind, POCKET) for kind in (BASE, CONTROLNET)] == before
        with (copy / "vae" / "config.json").open("a") as config:
            config.write(" ")
        model_files._pocket_digest.cache_clear()
        assert identity(BASE, POCKET) != before[0]
    finally:
        model_files._pocket_digest.cache_clear()


@pytest.mark.parametrize("change", [{"model": "owner/model"}, {"controlnet": "owner/edges"}])
def test_a_controlnet_of_another_model_is_refused_when_it_is_planned(
    change: dict[str, str],
) -> None:
    with pytest.raises(InvalidValueError, match="choose pocket for both"):
        recipe_of(replace(DRAFT, **change))  # type: ignore[arg-type]


def test_words_that_it_does_not_know_are_named_and_change_nothing(paint: Paint) -> None:
    plain = replace(DRAFT, prompt="a woodcut")
    strange = replace(DRAFT, prompt="a smiling lion woodcut")
    assert np.array_equal(paint(strange), paint(plain))
    assert recipe_of(strange) == recipe_of(plain)
    assert painter_named("diffusion").advice(strange) == (
        "The built-in model does not know: smiling, lion. `inbetween looks` lists all looks, such "
        "as watercolour, pencil drawing and ink drawing."
    )


def test_a_prompt_without_a_look_is_painted_in_oil_and_says_so(paint: Paint) -> None:
    settings = replace(DRAFT, prompt="lion")
    lion = paint(settings)
    assert np.array_equal(lion, paint(replace(DRAFT, prompt="oil painting")))
    assert lion.mean() > 0.1
    assert "it paints an oil painting" in painter_named("diffusion").advice(settings)


def test_what_it_does_not_know_is_told_in_a_line_and_at_once_however_long_it_is() -> None:
    vocabulary = built_in_vocabulary()
    assert "know: " + 24 * "x" + "…. " in vocabulary.advice(100_000 * "x")
    told = vocabulary.advice(" ".join(f"q{number}" for number in range(1000)))
    assert "q10, q11, 988 more. " in told
    assert vocabulary.understood(100_000 * "x") == "oil painting"


@pytest.mark.parametrize(
    ("prompt", "understood"),
    [
        ("An aquarelle, in cold light", "An aquarelle, in cold light"),
        ("a nice, warm lion", "a, warm, oil painting"),
        ("a lion, Black-and-White", "a, Black and White, oil painting"),
        ("ink", "ink, ink drawing"),
        ("", "oil painting"),
        ("a castle, woodcut, no neon", "a, woodcut"),
        ("woodcut without any Stained  Glass, not sepia", "woodcut"),
        ("woodcut, not too dark, no bright neon or sepia", "woodcut"),
        ('woodcut, no "neon", no (neon:1.2), no-neon', "woodcut"),
        ("a street without people in oil", "a in oil, oil painting"),
        ("not a photo but a woodcut", "but a woodcut"),
        ("oil painting instead of woodcut", "oil painting"),
        ("woodcut, no colors", "woodcut, no colors"),
        ("a castle, no neon", "a, oil painting"),
        ("a lion, no ink", "a, oil painting"),
        ("a golden retriever and a black cat, woodcut", "a and a, woodcut"),
        ("(black:1.2) cat, woodcut", "woodcut"),
        ("a black and tan dog, a black and white cat, woodcut", "a, a, woodcut"),
        ("a brown bear, a light blue shirt, woodcut", "a, a, woodcut"),
        ("golden sunlight, a black and white photo, woodcut", "golden, a black and white, woodcut"),
        (
            "the cat is black and white, golden autumn light, woodcut",
            "the is, golden light, woodcut",
        ),
        ("a white summer dress, woodcut", "a, woodcut"),
        ("everything is black and white, woodcut", "is black and white, woodcut"),
        ("this is golden hair, woodcut", "this is, woodcut"),
        ("it is black and white, woodcut", "it is black and white, woodcut"),
        ("b&w woodcut, grey scale", "black and white woodcut, greyscale"),
        ("a black ink drawing, golden", "a black ink drawing, golden"),
        ("(a nice:1.2) (cold light:1.3), woodcut", "(a:1.2) (cold light:1.3), woodcut"),
        ("a line of trees", "a line of, oil painting"),
    ],
)
def test_what_it_reads_of_a_prompt(prompt: str, understood: str) -> None:
    assert built_in_vocabulary().understood(prompt) == understood


def test_words_of_the_negative_prompt_that_it_does_not_know_are_named_where_it_acts() -> None:
    negative = replace(DRAFT, prompt="woodcut", negative_prompt="blurry, sepia")
    painter = painter_named("diffusion")
    told = painter.advice(replace(negative, guidance_scale=2))
    assert told.startswith("The built-in model does not know: blurry. ")
    assert painter.advice(negative) == ""


def test_that_a_negative_prompt_does_nothing_is_told_whatever_its_words_are(
    paint: Paint, report: "Recorder"
) -> None:
    paint(replace(DRAFT, prompt="woodcut", negative_prompt="blurry"))
    assert [notice for notice in report.notices if "negative prompt has no effect" in notice]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("watercolour and ink drawing", "watercolour and ink drawing"),
        ("ink and watercolour", "watercolour and ink drawing"),
        ("a neon woodcut, as a comic", "neon, woodcut and comic"),
        ("a wood engraving, vintage engraving", "woodcut and etching"),
    ],
)
def test_of_several_looks_it_says_that_it_knows_one_at_a_time(prompt: str, told: str) -> None:
    advice = built_in_vocabulary().advice(prompt)
    assert advice.startswith(f"The prompt names {told}: the built-in model knows one look at a")


def test_what_is_left_out_is_told() -> None:
    assert (
        built_in_vocabulary()
        .advice("a black cat, woodcut, no neon")
        .startswith(
            "The built-in model does not know: cat. It leaves out the colours of things: black. "
            "The built-in model cannot be told what not to paint: no neon is left out. "
        )
    )


@pytest.mark.parametrize("prompt", ["a wood engraving", "oil on canvas, no colors", "van gogh"])
def test_a_prompt_of_one_look_gets_no_advice(prompt: str) -> None:
    assert built_in_vocabulary().advice(prompt) == ""


def test_every_colour_that_is_left_out_of_things_is_one_that_it_knows() -> None:
    assert set(built_in_vocabulary().words) >= _COLORS


@pytest.mark.parametrize(
    ("word", "look", "other"),
    [
        ("linocut", "woodcut", "etching"),
        ("manga", "ink drawing", "pencil drawing"),
        ("popart", "pop art", "retro poster"),
        ("mosaic", "stained glass", "comic"),
    ],
)
def test_words_learnt_last_ask_for_their_look(
    paint: Paint, word: str, look: str, other: str
) -> None:
    by_word, by_look, by_other = (
        paint(replace(DRAFT, prompt=each)) for each in (word, look, other)
    )
    assert np.abs(by_word - by_look).mean() < 0.5 * np.abs(by_other - by_look).mean()
