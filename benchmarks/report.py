"""How a benchmark says what it measured: a table, or with --json one object a line."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Printer:
    """Prints measurements, which are dataclasses: their field names carry the units."""

    as_json: bool

    def comment(self, text: str) -> None:
        """Something for people, on stderr, so that stdout stays machine-readable."""
        print(text, file=sys.stderr, flush=True)

    def measurements(self, title: str, rows: "Iterable[DataclassInstance]") -> None:
        """With --json one object a line and nothing else, otherwise a table."""
        if self.as_json:
            for row in rows:
                print(json.dumps(asdict(row)), flush=True)
        else:
            Console().print(_table(title, list(rows)))


def _table(title: str, rows: "list[DataclassInstance]") -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for number, _ in enumerate(rows, start=1):
        table.add_column(str(number), justify="right")
    for field in fields(rows[0]) if rows else ():
        values = (_text(getattr(row, field.name)) for row in rows)
        table.add_row(field.name.replace("_", " "), *values)
    return table


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case dict():
            return "\n".join(f"{name} {_text(entry)}" for name, entry in value.items())
        case tuple():
            return " ".join(_text(entry) for entry in value)
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
