import io
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from engine.errors import NotFoundError
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest
from engine.translation.painters import describe_painters, painter_named, recipe_of
from engine.translation.words.vocabulary import built_in_vocabulary

if TYPE_CHECKING:
    from tests.engine.conftest import Recorder


def test_describing_and_planning_import_neither_torch_nor_diffusers() -> None:
    script = """
import sys
from engine.settings import TranslationSettings
from engine.translation.painters import describe_painters, recipe_of
describe_painters()
for painter in ("style", "diffusion", "painted"):
    recipe_of(TranslationSettings(painter=painter))
assert not {"torch", "diffusers", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_painter_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(
        NotFoundError, match=r'no painter "oil": choose diffusion or style or painted'
    ):
        painter_named("oil")


def test_every_painter_is_described_and_the_looks_of_words_have_pictures() -> None:
    described = {painter.name: painter for painter in describe_painters()}
    assert list(described) == ["diffusion", "style", "painted"]
    assert all(painter.available and not painter.reason for painter in described.values())
    assert described["style"].names_only
    assert "mosaic" in [look.name for look in described["style"].looks]
    diffusion = described["diffusion"]
    assert not diffusion.names_only
    assert len(diffusion.looks) >= 16
    for look in (*diffusion.looks, *diffusion.modifiers):
        with Image.open(io.BytesIO(look.picture)) as picture:
            assert picture.size == (160, 120)


@pytest.mark.parametrize("painter", ["diffusion", "style"])
def test_the_default_prompt_names_a_look_of_every_painter(painter: str) -> None:
    settings = TranslationSettings(painter=painter)
    recipe_of(settings)
    assert built_in_vocabulary().advice(settings.prompt) == ""


def test_a_key_frame_without_its_painting_is_named(report: "Recorder") -> None:
    settings = TranslationSettings(painter="painted")
    request = PaintRequest(24, np.zeros((8, 8, 3), np.float32), settings)
    with pytest.raises(NotFoundError, match="Key frame 24 has no painting: import a picture"):
        painter_named("painted").paint(request, report)
    assert recipe_of(settings) == recipe_of(TranslationSettings(painter="painted", prompt="other"))
