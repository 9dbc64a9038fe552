"""The words that the built-in model knows, and what suits it (`looks.json` beside its weights)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path

from engine.translation.models.files import POCKET, pocket_folder
from engine.translation.words.weights import Part, plain_text, weighted_parts

_EXAMPLES = 3
_LISTED, _LONGEST = 12, 24
_WORD = re.compile(r"[^\W_]+")
_PHRASE_ENDS = re.compile(r"[,;.]")
_FIRST_OF_TWO = re.compile(r"(?<![^\W_])([^\W_]+)(?:\s+|[-\u2010\u2011\u2013])(?=([^\W_]+))")
"""Apart by blanks, a hyphen or a dash."""
_SPELLINGS = (
    (re.compile(r"\bb\s*[&/+]\s*w\b", re.I), "black and white"),
    (re.compile("&"), " and "),
)
_PLURALS = (("s", ""), ("es", ""), ("ies", "y"))
_WORKS = frozenset({"drawing", "painting", "sketch", "print"})
_MATERIALS = frozenset({"ink", "pencil", "graphite", "chalk", "oil"})
"""Where one stands without a work, it is meant for one: "ink" for an ink drawing."""
_REFUSING = frozenset(
    {"no", "not", "without", "less", "never", "neither", "don", "isn", "instead", "rather"}
)
"""From such a word on a phrase says what is not to be, until it goes on otherwise."""
_GOING_ON = frozenset({"but", "as", "in", "with", "like"})
_FILLING = frozenset(
    {"a", "an", "the", "any", "all", "of", "than", "too", "very", "so", "more", "t"}
)
_COLORS = frozenset(
    {"black", "white", "red", "blue", "brown", "violet", "golden", "copper", "grey", "gray"}
)
"""Colours that the model knows and paints everything in: of "a black cat" it knows no cat."""
_SHADES = frozenset({"light", "dark", "pale", "bright"})
_OF_ALL = (
    frozenset({"photo", "photograph", "photographs", "picture", "film", "image", "images"})
    | {"everything", "all", "scene", "shot", "movie", "video", "clip", "frame", "world", "mood"}
    | {"atmosphere", "highlights", "tone", "tones", "sunlight", "sunshine", "glow"}
    | {"sunset", "sunrise", "dawn", "dusk", "twilight"}
)
"""What is not known either, but whose colour is that of the whole picture."""
_TIMES = frozenset(
    {"spring", "summer", "autumn", "winter", "morning", "noon", "afternoon", "evening"}
)
"""Of these too, but where they stand before another thing: "a white summer dress"."""
_JOINING = frozenset({"and", "or"})
_BEING = frozenset({"is", "are", "was", "were"})
_MOST_COLORS = 8


@dataclass(frozen=True)
class Look:
    """Something that a prompt can ask for by name."""

    name: str
    phrases: tuple[str, ...]
    """All the words for it, its name among them."""
    picture: bytes = b""
    """How it looks, as JPEG; empty where there is no picture."""


@dataclass(frozen=True)
class Vocabulary:
    """What a model understands."""

    looks: tuple[Look, ...]
    modifiers: tuple[Look, ...]
    words: frozenset[str]
    """Every word that asks for something it can do, and those that join them."""
    guidance_scale: float
    """What suits the model."""

    def understood(self, prompt: str) -> str:
        """The prompt as `known` has it, and with a look in any case: without one the model was
        taught to give the photograph back.
        """
        known = self.known(prompt)
        named, half_named = self._looks_of(known)
        if named:
            return known
        look = (half_named or self.looks)[0]
        return f"{known}, {look.name}" if known else look.name

    def known(self, prompt: str) -> str:
        """The prompt without what asks for nothing: words that the model does not know, the colours
        of such things, and what is not to be, since it was never taught what "no" means.
        """
        return self._read(prompt).known

    def advice(self, prompt: str, negative_prompt: str = "") -> str:
        """What of the prompts is not understood, for their author; empty where all is."""
        read, negative = self._read(prompt), self._read(negative_prompt)
        named, half_named = self._looks_of(read.known)
        facts = []
        if unknown := dict.fromkeys([*read.unknown, *negative.unknown]):
            facts.append(f"The built-in model does not know: {_listed(unknown)}.")
        if read.colors:
            facts.append(f"It leaves out the colours of things: {_listed(read.colors)}.")
        if read.refused:
            facts.append(
                f"The built-in model cannot be told what not to paint: {_listed(read.refused)} is "
                "left out."
            )
        if half_named or len(named) != 1:
            facts.append(self._told_instead([*named, *half_named]))
        elif not unknown:
            return " ".join(facts)
        *examples, last = (look.name for look in self.looks[1 : 1 + _EXAMPLES])
        more = f"`inbetween looks` lists all looks, such as {', '.join(examples)} and {last}."
        return " ".join([*facts, more])

    def _read(self, prompt: str) -> "_Reading":
        read = _Reading()
        for phrase in _phrases_of(self._in_known_forms(prompt)):
            words = [part.text.casefold() for part in phrase]
            known: list[Part] = []
            index = 0
            while index < len(words):
                if end := self._end_of_refusal(words, index):
                    read.refused.append(" ".join(words[index:end]))
                elif end := self._end_of_colors(words, index):
                    read.colors.extend(word for word in words[index:end] if word not in _JOINING)
                else:
                    end = index + 1
                    if words[index] in self.words:
                        known.append(phrase[index])
                    else:
                        read.unknown.append(phrase[index].text)
                index = end
            if known:
                read.phrases.append(known)
        return read

    def _end_of_refusal(self, words: Sequence[str], begin: int) -> int:
        """Where what is not to be ends, as in "no neon"; 0 where nothing is refused, or the words
        ask for something themselves, as "no colors" does.
        """
        if words[begin] not in _REFUSING:
            return 0
        rest = tuple(words[begin : begin + 4])
        if any(rest[: len(phrase)] == phrase for phrase in self._asking_refusals):
            return 0
        is_told = False
        for end in range(begin + 1, len(words)):
            if words[end] == "but" or (is_told and words[end] in _GOING_ON):
                return end
            is_told |= words[end] not in _GOING_ON | _FILLING
        return len(words)

    @cached_property
    def _asking_refusals(self) -> frozenset[tuple[str, ...]]:
        phrases = (tuple(phrase.split()) for look in self.modifiers for phrase in look.phrases)
        return frozenset(phrase for phrase in phrases if phrase[0] in _REFUSING)

    def _end_of_colors(self, words: Sequence[str], begin: int) -> int:
        """Where the colours of something end that the model does not know, as in "black cat" and
        "the cat is black"; 0 without such.
        """
        end = begin
        if words[begin] in _SHADES and words[begin + 1 : begin + 2] and words[begin + 1] in _COLORS:
            end += 1
        while end < min(len(words), begin + _MOST_COLORS) and (
            words[end] in _COLORS or (end > begin and words[end] in _JOINING)
        ):
            end += 1
        if end == begin:
            return 0
        after = next((index for index in range(end, len(words)) if words[index] not in _TIMES), end)
        things = list(words[after : after + 1])
        if begin > 1 and words[begin - 1] in _BEING:
            things.append(words[begin - 2])
        is_unknown = any(thing not in self.words | _OF_ALL | _TIMES for thing in things)
        return end if is_unknown else 0

    def _told_instead(self, looks: Sequence[Look]) -> str:
        """Where the prompt does not name one look: it says half, or none, or several."""
        if not looks:
            return (
                "The prompt names no look that the built-in model knows: it paints "
                f"{_with_article(self.looks[0].name)}."
            )
        if len(looks) == 1:
            return f"The prompt is taken to ask for {_with_article(looks[0].name)}."
        *others, last = (look.name for look in looks)
        return (
            f"The prompt names {', '.join(others)} and {last}: the built-in model knows one look "
            "at a time."
        )

    def _in_known_forms(self, text: str) -> str:
        """With "water colour" in one word, and plurals as what there are several of, where that is
        a look, or is known and what is written is not.
        """

        def joined(pair: re.Match[str]) -> str:
            first, second = pair.groups()
            whole = self._in_singular(first + second)
            both = self._knows(first) and self._knows(second)
            return first if self._is_look(whole) or (self._knows(whole) and not both) else pair[0]

        for spelling, usual in _SPELLINGS:
            text = spelling.sub(usual, text)
        text = _FIRST_OF_TWO.sub(joined, text)
        return _WORD.sub(lambda word: self._in_singular(word[0]), text)

    def _in_singular(self, word: str) -> str:
        if self._is_look(word):
            return word
        for ending, singular in _PLURALS:
            one = word.casefold().removesuffix(ending) + singular
            is_plural = word.casefold().endswith(ending)
            if is_plural and (self._is_look(one) or (self._knows(one) and not self._knows(word))):
                return one
        return word

    def _is_look(self, word: str) -> bool:
        return word.casefold() in self._looks_in_a_word

    @cached_property
    def _looks_in_a_word(self) -> frozenset[str]:
        phrases = (phrase.casefold() for look in self.looks for phrase in look.phrases)
        return frozenset(phrase for phrase in phrases if " " not in phrase)

    def _knows(self, word: str) -> bool:
        return word.casefold() in self.words

    @cached_property
    def _names(self) -> Sequence[tuple[str, Look]]:
        """All names of looks as `_spoken` has them, the longest first."""
        names = [(_spoken(phrase), look) for look in self.looks for phrase in look.phrases]
        return sorted(names, key=lambda name: -len(name[0]))

    def _looks_of(self, known: str) -> tuple[list[Look], list[Look]]:
        """The looks that are named, in their order, and those of which half is said. The longest
        name counts: a wood engraving is no engraving.
        """
        spoken = _spoken(plain_text(known))
        places: dict[Look, int] = {}
        for name, look in self._names:
            if name in spoken:
                places.setdefault(look, spoken.index(name))
                spoken = spoken.replace(name, " " * len(name))
        named = sorted(places, key=places.__getitem__)
        materials = [word for word in dict.fromkeys(spoken.split()) if word in _MATERIALS]
        half_named = dict.fromkeys(self._look_in(material) for material in materials)
        return named, [look for look in half_named if look not in named]

    def _look_in(self, material: str) -> Look:
        return next(
            look
            for look in self.looks
            for begin, *rest in (phrase.split() for phrase in look.phrases)
            if begin == material and len(rest) == 1 and rest[0] in _WORKS
        )


@dataclass(frozen=True)
class _Reading:
    """What of a prompt asks for something, and what is left out of it."""

    phrases: list[list[Part]] = field(default_factory=list)
    """The words that are known."""
    unknown: list[str] = field(default_factory=list)
    colors: list[str] = field(default_factory=list)
    """Of what is unknown."""
    refused: list[str] = field(default_factory=list)
    """What is not to be."""

    @property
    def known(self) -> str:
        return ", ".join(_written(phrase) for phrase in self.phrases)


def _phrases_of(prompt: str) -> list[list[Part]]:
    """Its words with their weights, from comma to comma."""
    phrases: list[list[Part]] = [[]]
    for part in weighted_parts(prompt):
        first, *others = _PHRASE_ENDS.split(part.text)
        phrases[-1] += [Part(word, part.weight) for word in _WORD.findall(first)]
        phrases += [[Part(word, part.weight) for word in _WORD.findall(text)] for text in others]
    return phrases


def vocabulary_of(model: str) -> Vocabulary | None:
    """The vocabulary of a model; None for one that takes any words."""
    return built_in_vocabulary() if model == POCKET else None


@cache
def built_in_vocabulary() -> Vocabulary:
    """The vocabulary of the built-in model."""
    folder = pocket_folder()
    told = json.loads((folder / "looks.json").read_text("utf-8"))
    return Vocabulary(
        looks=_looks(folder, told["looks"]),
        modifiers=_looks(folder, told["modifiers"]),
        words=frozenset(told["words"]),
        guidance_scale=float(told["guidance_scale"]),
    )


def _looks(folder: Path, told: Mapping[str, Iterable[str]]) -> tuple[Look, ...]:
    return tuple(
        Look(
            name, (name, *(phrase for phrase in phrases if phrase != name)), _picture(folder, name)
        )
        for name, phrases in told.items()
    )


def _picture(folder: Path, name: str) -> bytes:
    file = folder / "looks" / f"{name.replace(' ', '-')}.jpg"
    return file.read_bytes() if file.is_file() else b""


def _listed(words: Iterable[str]) -> str:
    """In a line, however many and long they are."""
    short = [f"{word[:_LONGEST]}…" if len(word) > _LONGEST else word for word in words]
    more = [f"{len(short) - _LISTED} more"] if len(short) > _LISTED else []
    return ", ".join([*short[:_LISTED], *more])


def _with_article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _written(phrase: Iterable[Part]) -> str:
    return " ".join(
        _weighted(" ".join(part.text for part in parts), weight)
        for weight, parts in groupby(phrase, key=lambda part: part.weight)
    )


def _weighted(text: str, weight: float) -> str:
    """In figures without an exponent, which no prompt has."""
    figures = f"{weight:.4f}".rstrip("0").rstrip(".")
    return text if weight == 1 else f"({text}:{figures})"


def _spoken(text: str) -> str:
    """Its words alone, with a blank before and after each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
