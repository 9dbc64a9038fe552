"""Names and what is told of each, for people."""

from collections.abc import Iterable

import typer


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """A line each, never broken: paths are to be copied."""
    lines = list(facts)
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        typer.echo(f"{name:{width}}  {text}")
