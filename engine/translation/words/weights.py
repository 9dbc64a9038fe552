"""The weights that a prompt gives to its words: (word:1.3), (word), [word]."""

import re
from dataclasses import dataclass, field

_EMPHASIS = 1.1
"""What a pair of brackets without a number multiplies by; square ones divide."""
_PIECE = re.compile(
    r"\\[()\[\]\\]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|[()\[\]]|[^()\[\]:\\]+|.", re.S
)


@dataclass(frozen=True)
class Part:
    """A piece of a prompt whose words have one weight."""

    text: str
    weight: float = 1.0


@dataclass
class _Group:
    """What stands inside one pair of brackets."""

    opening: str = ""
    parts: list[Part] = field(default_factory=list)


def weighted_parts(prompt: str) -> tuple[Part, ...]:
    """The prompt without the brackets that give weights, which multiply where they are nested.

    A backslash before a bracket makes it a bracket of the text; so is one that has no partner.
    """
    groups = [_Group()]
    for piece in _PIECE.findall(prompt):
        factor = _factor(groups[-1].opening, piece)
        if piece in ("(", "["):
            groups.append(_Group(piece))
        elif factor is not None:
            inner = groups.pop().parts
            groups[-1].parts += [Part(part.text, part.weight * factor) for part in inner]
        else:
            is_escaped = len(piece) == 2 and piece.startswith("\\")
            groups[-1].parts.append(Part(piece[1:] if is_escaped else piece))
    closed, *unclosed = groups
    for group in unclosed:
        closed.parts += [Part(group.opening), *group.parts]
    return _joined(closed.parts)


def plain_text(prompt: str) -> str:
    """The prompt without weights."""
    return "".join(part.text for part in weighted_parts(prompt))


def _factor(opening: str, piece: str) -> float | None:
    """What the piece multiplies by where it closes what `opening` opened."""
    if opening == "(" and piece.endswith(")") and not piece.startswith("\\"):
        return _EMPHASIS if piece == ")" else float(piece[1:-1])
    return 1 / _EMPHASIS if opening == "[" and piece == "]" else None


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbours of one weight as one part."""
    joined: list[Part] = []
    for part in parts:
        weight = round(part.weight, 9)
        if joined and joined[-1].weight == weight:
            joined[-1] = Part(joined[-1].text + part.text, weight)
        else:
            joined.append(Part(part.text, weight))
    return tuple(joined)
