"""Looks in a prompt: what a painter's prompt becomes when a look is chosen."""

import re
from collections.abc import Iterable

from inbetween.v1 import render_pb2

_LONG = 7
"""Letters of a word that people divide, such as "water colour"."""


def with_look(prompt: str, look: str, looks: Iterable[render_pb2.Look]) -> str:
    """The prompt with this look in place of the one it names; at its end where it names none."""
    phrases = sorted((phrase for known in looks for phrase in known.phrases), key=len, reverse=True)
    for phrase in phrases:
        changed, count = re.subn(_pattern(phrase), look, prompt, count=1, flags=re.IGNORECASE)
        if count:
            return changed
    return with_modifier(prompt, look)


def with_modifier(prompt: str, modifier: str) -> str:
    """The prompt with this at its end, if it is not there already."""
    if re.search(_pattern(modifier), prompt, re.IGNORECASE):
        return prompt
    return ", ".join(part for part in (prompt.strip(" ,"), modifier) if part)


def _pattern(phrase: str) -> str:
    """As it may be written: in the plural, with hyphens, a long word divided."""
    words = (
        "[ -]?".join(map(re.escape, word)) if len(word) >= _LONG else re.escape(word)
        for word in phrase.split()
    )
    return rf"\b{'[ -]'.join(words)}s?\b"
