"""The words that the built-in model knows, and what suits it (`looks.json` beside its weights)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from engine.translation.model_files import POCKET, pocket_folder
from engine.translation.prompt import Part, plain_text, weighted_parts

_EXAMPLES = 3
_LISTED, _LONGEST = 12, 24
_WORD = re.compile(r"[^\W_]+")
_FIRST_OF_TWO = re.compile(r"(?<![^\W_])([^\W_]+)(?:\s+|[-\u2010\u2011\u2013])(?=([^\W_]+))")
"""Apart by blanks, a hyphen or a dash."""
_PLURALS = (("s", ""), ("es", ""), ("ies", "y"))
_WORKS = frozenset({"drawing", "painting", "sketch", "print"})
"""What "ink" leaves unsaid where it stands for an ink drawing."""
_REFUSALS = r"(?:no|not|without)(?:\s+(?:an?|any))?"
_COLORS = frozenset({"black", "white", "red", "blue", "green", "violet", "golden", "grey", "gray"})
"""Words of phrases such as "black ink drawing", which "a black cat" does not mean."""


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
        """The prompt without the words that the model does not know, and with a look in any case:
        without one it was taught to give the photograph back.
        """
        known = self.known(prompt)
        plain = plain_text(known)
        if self._named(plain):
            return known
        look = self._half_named(plain) or self.looks[0]
        return f"{known}, {look.name}" if known else look.name

    def known(self, prompt: str) -> str:
        """The prompt without the words that the model does not know, and without "no neon": it was
        never taught what is not to be.
        """
        phrases: list[list[Part]] = [[]]
        for part in weighted_parts(self._in_known_forms(prompt)):
            texts = self._refused.sub(" ", part.text).split(",")
            first, *others = (Part(" ".join(self._sorted(text)[0]), part.weight) for text in texts)
            phrases[-1].append(first)
            phrases += [[other] for other in others]
        spoken = (" ".join(_written(part) for part in phrase if part.text) for phrase in phrases)
        return ", ".join(phrase for phrase in spoken if phrase)

    def _unknown(self, prompt: str) -> list[str]:
        plain = self._refused.sub(" ", plain_text(self._in_known_forms(prompt)))
        return [word for phrase in plain.split(",") for word in self._sorted(phrase)[1]]

    def _sorted(self, text: str) -> tuple[list[str], list[str]]:
        """The words of a phrase that ask for something, and those that the model does not know."""
        words = _WORD.findall(text)
        known: list[str] = []
        unknown: list[str] = []
        for index, word in enumerate(words):
            is_known = self._knows(word) and not self._is_of_a_thing(words, index)
            (known if is_known else unknown).append(word)
        return known, unknown

    def _is_of_a_thing(self, words: Sequence[str], index: int) -> bool:
        """Whether the word is the colour of what comes next, which the model does not know."""
        until_here, thing = words[max(0, index - 4) : index + 1], words[index + 1 : index + 2]
        if not thing or self._knows(thing[0]) or words[index].casefold() not in _COLORS:
            return False
        spoken = _spoken(" ".join(until_here))
        longer = (phrase for phrase in self._phrases if " " in phrase.strip())
        return not any(spoken.endswith(phrase) for phrase in longer)

    def advice(self, prompt: str, negative_prompt: str = "") -> str:
        """What of the prompts is not understood, for their author; empty where all is."""
        words = dict.fromkeys([*self._unknown(prompt), *self._unknown(negative_prompt)])
        unknown = f"The built-in model does not know: {_listed(words)}." if words else ""
        known = plain_text(self.known(prompt))
        named = self._named(known)
        instead = "" if len(named) == 1 else self._told_instead(known, named)
        if not (unknown or instead):
            return ""
        *examples, last = (look.name for look in self.looks[1 : 1 + _EXAMPLES])
        more = f"`inbetween looks` lists all looks, such as {', '.join(examples)} and {last}."
        return " ".join(fact for fact in (unknown, instead, more) if fact)

    def _told_instead(self, prompt: str, named: Sequence[Look]) -> str:
        """Where it does not name one look."""
        if named:
            *others, last = (look.name for look in named)
            return (
                f"The prompt names {', '.join(others)} and {last}: the built-in model knows one "
                "look at a time."
            )
        if look := self._half_named(prompt):
            return f"The prompt is taken to ask for {_with_article(look.name)}."
        return (
            "The prompt names no look that the built-in model knows: it paints "
            f"{_with_article(self.looks[0].name)}."
        )

    def _in_known_forms(self, text: str) -> str:
        """With "water colour" in one word, and plurals as what there are several of, where that is
        a look, or is known and what is written is not.
        """

        def joined(pair: re.Match[str]) -> str:
            first, second = pair.groups()
            whole = self._in_singular(first + second)
            is_meant = self._is_look(whole) or (self._knows(whole) and not self._knows(first))
            return first if is_meant else pair[0]

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
    def _phrases(self) -> Mapping[str, Look | None]:
        """What asks for something, as `_spoken` has it, the longest first; with its look."""
        told: dict[str, Look | None] = {
            _spoken(phrase): None for each in self.modifiers for phrase in each.phrases
        }
        told |= {_spoken(phrase): look for look in self.looks for phrase in look.phrases}
        return dict(sorted(told.items(), key=lambda item: -len(item[0])))

    @cached_property
    def _refused(self) -> re.Pattern[str]:
        """Such as "no neon"; but "no colors" asks for something."""
        phrases = (r"\s+".join(phrase.split()) for phrase in self._phrases)
        return re.compile(rf"(?<![^\W_]){_REFUSALS}\s+(?:{'|'.join(phrases)})(?![^\W_])", re.I)

    def _named(self, prompt: str) -> list[Look]:
        """The looks that it asks for by name, in its order. The longest name counts: a wood
        engraving is no engraving.
        """
        spoken = _spoken(prompt)
        places: dict[Look, int] = {}
        for phrase, look in self._phrases.items():
            if look and phrase in spoken:
                places.setdefault(look, spoken.index(phrase))
                spoken = spoken.replace(phrase, " " * len(phrase))
        return sorted(places, key=places.__getitem__)

    def _half_named(self, prompt: str) -> Look | None:
        """The look of which the prompt says half, as in "ink"."""
        words = _spoken(prompt).split()
        for look in self.looks:
            for begin, *rest in (phrase.casefold().split() for phrase in look.phrases):
                if begin in words and len(rest) == 1 and rest[0] in _WORKS:
                    return look
        return None


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


def _written(part: Part) -> str:
    """In figures without an exponent, which no prompt has."""
    weight = f"{part.weight:.4f}".rstrip("0").rstrip(".")
    return part.text if part.weight == 1 else f"({part.text}:{weight})"


def _spoken(text: str) -> str:
    """Its words alone, with a blank before and after each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
