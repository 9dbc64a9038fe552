"""What the network sees of references: kept while there is room, and the same bits always."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.feature_memory import FeatureMemory
from engine.translation.method.reference_view import ReferenceView
from engine.translation.stable_diffusion.networks import StableDiffusion
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo
    from tests.engine.translation.conftest import Shot


@pytest.fixture
def sources(photo: "Photo") -> list[FloatArray]:
    wide = photo(64, 128)
    return [np.ascontiguousarray(wide[:, left : left + 64]) for left in (0, 4, 14, 20)]


@contextmanager
def counted(name: str) -> Iterator[list[int]]:
    """The sizes of the calls of a method of the model."""
    calls: list[int] = []
    method: Any = getattr(StableDiffusion, name)

    def counting(self: Any, x: Any, *rest: Any) -> Any:
        calls.append(len(x))
        return method(self, x, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StableDiffusion, name, counting)
        yield calls


def test_each_reference_is_seen_once_a_step_and_the_anchor_once_a_shot(
    shot: "Shot", sources: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    with counted("see") as seen, counted("predict") as predicted:
        for number, wanted in enumerate([0, 6, 6, 6]):
            seen.clear()
            predicted.clear()
            shot.paint(sources[number], tiny_settings)
            assert len(seen) == wanted
            # Of the second pass, three steps from pixel fusion on, the first is known already.
            assert len(predicted) == (6 + 3 - 1 if number else 6)


def test_the_anchor_is_seen_once_a_shot_also_where_colours_are_drawn_for_each_key_frame(
    shot: "Shot", sources: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    settings = replace(tiny_settings, match_colors=True)
    with counted("see") as seen:
        for source, wanted in zip(sources, [0, 6, 6, 6], strict=True):
            seen.clear()
            shot.paint(source, settings)
            assert len(seen) == wanted


def test_nothing_of_a_painting_is_left_behind(
    shot: "Shot", sources: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    """What refers to itself would keep a card's memory until Python happens to look for it."""
    views: list[weakref.ref[ReferenceView]] = []
    asked: Any = ReferenceView.at

    def watched(view: ReferenceView, step: int) -> object:
        views.append(weakref.ref(view))
        return asked(view, step)

    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReferenceView, "at", watched)
            for source in sources[:3]:
                shot.paint(source, tiny_settings)
        assert views
        assert not any(view() for view in views)
    finally:
        gc.enable()


def test_a_key_frame_painted_again_alone_has_the_same_bits(
    shot: "Shot", sources: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    for source in sources:
        shot.paint(source, tiny_settings)
    takes, trajectories = list(shot.takes), list(shot.trajectories)
    del shot.takes[3:], shot.trajectories[3:], shot.sources[3:]
    shot.painter = DiffusionPainter()
    assert np.array_equal(shot.paint(sources[3], tiny_settings), takes[3])
    again, before = shot.trajectories[3], trajectories[3]
    assert again is not None
    assert before is not None
    assert np.array_equal(again.latents, before.latents)


def test_without_memory_for_what_was_seen_the_bits_are_the_same(
    shot: "Shot",
    sources: list[FloatArray],
    tiny_settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for source in sources[:2]:
        shot.paint(source, tiny_settings)
    references = shot.references(sources[2])
    kept = shot.paint(sources[2], tiny_settings, references)
    monkeypatch.setattr("engine.translation.feature_memory.spare_host_bytes", lambda: 0)
    shot.painter = DiffusionPainter()
    with counted("see") as seen:
        assert np.array_equal(shot.paint(sources[2], tiny_settings, references), kept)
    assert len(seen) > 12


def test_only_the_references_of_the_last_key_frame_are_remembered(
    shot: "Shot", sources: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    painter = shot.painter = DiffusionPainter()
    for source in (*sources, *sources):
        shot.paint(source, tiny_settings)
    assert painter._loaded is not None
    memory: FeatureMemory = painter._loaded.model.memory
    assert len({name for name, _ in memory._kept}) == 2
