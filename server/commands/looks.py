"""`inbetween looks`: what a prompt can ask for."""

import io
from collections.abc import Sequence
from pathlib import Path

import typer
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from engine.errors import InvalidValueError
from engine.media.files import storage_errors
from engine.translation.painters import describe_painters
from engine.translation.words.vocabulary import Look

COLUMNS = 6
CAPTION_HEIGHT = 20
GAP = 6
PAPER, INK = "white", "black"


def list_looks() -> None:
    """Prints the looks of each painter and what changes them, with all the words for each."""
    for painter in describe_painters():
        if painter.looks:
            typer.echo(f"{painter.label} knows these looks:")
            _print(painter.looks)
        if painter.modifiers:
            typer.echo("and these words change a look:")
            _print(painter.modifiers)


def check_sheet(path: Path, *, overwrite: bool) -> None:
    """Raises InvalidValueError for a file that is no picture by its name, or is there already and
    not to be replaced.
    """
    if path.suffix.casefold() not in (".png", ".jpg", ".jpeg"):
        raise InvalidValueError(f"--sheet is {path}: name a .png or .jpg file.")
    if path.exists() and not overwrite:
        raise InvalidValueError(
            f"{path} exists: choose another name, or replace it by --overwrite."
        )


def write_sheet(path: Path) -> None:
    """Writes one picture with a small painting in every look, its name below.

    Raises StorageError.
    """
    described = describe_painters()
    looks = [look for painter in described for look in (*painter.looks, *painter.modifiers)]
    with storage_errors(path):
        _sheet([look for look in looks if look.picture]).save(path)
    typer.echo(path)


def _print(looks: Sequence[Look]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for look in looks:
        table.add_row(f"  {look.name}", ", ".join(look.phrases[1:]))
    Console(highlight=False).print(table)


def _sheet(looks: Sequence[Look]) -> Image.Image:
    pictures = [Image.open(io.BytesIO(look.picture)) for look in looks]
    width, height = pictures[0].size
    rows = -(-len(looks) // COLUMNS)
    step_x, step_y = width + GAP, height + CAPTION_HEIGHT + GAP
    sheet = Image.new("RGB", (COLUMNS * step_x + GAP, rows * step_y + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (look, picture) in enumerate(zip(looks, pictures, strict=True)):
        row, column = divmod(number, COLUMNS)
        x, y = GAP + column * step_x, GAP + row * step_y
        sheet.paste(picture, (x, y))
        draw.text((x + width // 2, y + height + CAPTION_HEIGHT // 2), look.name, INK, font, "mm")
    return sheet
