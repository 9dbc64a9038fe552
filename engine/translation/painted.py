"""Key frames painted by hand: the picture is the artist's, and nothing is made here."""

from typing import NoReturn

from engine.errors import NotFoundError
from engine.plan import Recipe
from engine.report import Report
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest


class HandPainter:
    """Stands where a painting was not imported yet: imported pictures are takes already."""

    def recipe(self, settings: TranslationSettings) -> Recipe:  # noqa: ARG002 - none matters here
        return Recipe("painted by hand")

    def advice(self, settings: TranslationSettings) -> str:  # noqa: ARG002 - none matters here
        return ""

    def paint(self, request: PaintRequest, report: Report) -> NoReturn:  # noqa: ARG002
        raise NotFoundError(
            f"Key frame {request.frame} has no painting: import a picture for it, or choose "
            "another painter."
        )
