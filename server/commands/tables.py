"""Columns for people. A line is never broken: ids and paths are to be copied."""

from collections.abc import Iterable, Sequence

import typer


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Each column as wide as its widest text."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{text:{width}}" for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
