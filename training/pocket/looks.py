"""The looks and colour modifiers that the model knows, and the sentences that ask for them."""

import json
import random
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from training.pocket import filters


@dataclass(frozen=True)
class Look:
    name: str
    phrases: tuple[str, ...]
    """Paraphrases, to be used after "a" or on their own."""
    paint: int | Callable[[Tensor], Tensor]
    """A style of the teacher, or a filter."""
    offered: bool
    """Whether the shipped weights have learnt it; README.md tells of those that have not."""
    finish: Callable[[Tensor, Tensor], Tensor] = filters.in_own_shading
    """Makes the look of the teacher's painting and of the picture it was painted from."""


@dataclass(frozen=True)
class Modifier:
    name: str
    adjectives: tuple[str, ...]
    phrases: tuple[str, ...]
    change: Callable[[Tensor], Tensor]
    group: str
    """Of each group at most one is asked for at a time."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


def _look(
    name: str,
    paint: int | Callable[[Tensor], Tensor],
    phrases: str,
    offered: bool = True,
    finish: Callable[[Tensor, Tensor], Tensor] = filters.in_own_shading,
) -> Look:
    return Look(name, _phrases(phrases), paint, offered, finish)


LOOKS = (
    _look(
        "photograph",
        filters.unchanged,
        "photograph|photo|realistic photo|film still|picture",
        offered=False,
    ),
    _look(
        "oil painting",
        19,
        "oil painting|oil on canvas|painting in oils|thick oil paint|impasto oil painting"
        "|painted canvas|oil paint|impressionist painting|impressionism|oils"
        "|acrylic painting|acrylics",
        finish=filters.in_own_colours,
    ),
    _look(
        "watercolour",
        filters.watercolour,
        "watercolour|watercolor|watercolour painting|watercolor painting|aquarelle"
        "|watercolour on paper|soft watercolor wash|gouache|gouache painting",
    ),
    _look(
        "pencil drawing",
        filters.pencil,
        "pencil drawing|pencil sketch|graphite drawing|graphite sketch|drawn in pencil|sketch"
        "|charcoal|charcoal drawing",
    ),
    _look(
        "ink drawing",
        filters.ink,
        "ink drawing|brush and ink drawing|black ink drawing|pen and ink|line art|manga ink|manga"
        "|line drawing|lineart|ink sketch",
    ),
    _look(
        "woodcut",
        18,
        "woodcut|woodcut print|wood engraving|wood block print|woodblock print|carved wood print"
        "|woodblock|linocut|linocut print|ukiyo e|japanese print",
    ),
    _look(
        "etching",
        24,
        "etching|copperplate etching|etched print|engraving|vintage engraving|blue ink print",
    ),
    _look(
        "stained glass",
        filters.stained_glass,
        "stained glass|stained glass window|leaded glass|church window|glass mosaic|mosaic"
        "|stained glass panel",
    ),
    _look(
        "pastel",
        12,
        "pastel|pastel drawing|pastel painting|soft pastels|chalk pastel|chalk drawing"
        "|crayon|crayon drawing",
    ),
    _look(
        "comic",
        filters.comic,
        "comic|comic book|comic strip|comic book panel|graphic novel|superhero comic"
        "|halftone comic",
    ),
    _look(
        "cartoon",
        filters.cartoon,
        "cartoon|animated cartoon|cel animation|anime|anime film|cel shaded cartoon|animation",
    ),
    _look(
        "pop art",
        8,
        "pop art|popart|pop art print|screen print|screenprint|silkscreen|silkscreen pop art",
    ),
    _look(
        "retro poster",
        4,
        "retro poster|vintage poster|travel poster|propaganda poster|lithograph poster|poster",
    ),
    _look(
        "paper cut",
        21,
        "paper cut|papercut|paper cutout|cut paper collage|paper collage|collage|matisse cutout",
    ),
    _look(
        "starry night",
        19,
        "starry night|starry night painting|van gogh|van gogh painting|swirling night painting"
        "|post impressionist night",
    ),
    _look(
        "old master",
        23,
        "old master|old master painting|renaissance painting|rembrandt|baroque painting"
        "|classical painting|museum painting",
    ),
    _look(
        "fauvism",
        16,
        "fauvism|fauvist painting|fauve|wild fauvist colours|fauvist|violet fauvist painting",
    ),
    _look("frost", 14, "frost|frosted|frosty|frozen ice|ice painting|winter frost|icy"),
    _look(
        "terracotta",
        10,
        "terracotta|terracotta painting|clay|burnt clay|rust|copper|terracotta tile",
    ),
    _look("ember", 20, "ember|embers|lava|inferno|fire|burning embers|infernal|red hot coals"),
    _look(
        "tapestry",
        25,
        "tapestry|woven tapestry|embroidery|embroidered cloth|rug|medieval tapestry|textile",
    ),
    _look(
        "neon",
        filters.neon,
        "neon|neon lights|neon sign|glowing neon|cyberpunk neon|cyberpunk|neon outlines|synthwave",
    ),
    _look(
        "blueprint",
        filters.blueprint,
        "blueprint|cyanotype|technical drawing|architect drawing|white lines on blue"
        "|blueprint drawing",
    ),
    _look(
        "pointillism",
        filters.pointillist,
        "pointillism|pointillist painting|seurat|painting of dots|painted dots|dotted painting",
    ),
)

MODIFIERS = (
    Modifier(
        "warm",
        ("warm", "warmer", "golden", "sunny"),
        (
            "warm light",
            "warm colours",
            "warm colors",
            "golden hour",
            "at sunset",
            "evening sun",
            "golden autumn light",
        ),
        filters.warm,
        "hue",
    ),
    Modifier(
        "cold",
        ("cold", "colder", "cool", "chilly"),
        ("cold light", "cool light", "cold colours", "cool colors", "blue hour", "moonlight"),
        filters.cold,
        "hue",
    ),
    Modifier(
        "sepia",
        ("sepia",),
        ("sepia", "sepia tone", "sepia toned", "in sepia", "brown tones"),
        filters.sepia,
        "hue",
    ),
    Modifier(
        "black and white",
        ("black and white", "monochrome", "monochromatic", "bw", "grey", "gray"),
        (
            "black and white",
            "monochrome",
            "without colour",
            "without color",
            "no colors",
            "greyscale",
            "grayscale",
            "film noir",
        ),
        filters.monochrome,
        "hue",
    ),
    Modifier(
        "vivid",
        ("vivid", "vibrant", "colourful", "colorful", "saturated"),
        ("vivid colours", "vivid colors", "vibrant", "saturated colours", "bold colours"),
        filters.vivid,
        "hue",
    ),
    Modifier(
        "muted",
        ("muted", "desaturated", "subdued"),
        ("muted colours", "muted colors", "desaturated", "quiet colours", "subdued tones"),
        filters.muted,
        "hue",
    ),
    Modifier(
        "dark",
        ("dark", "darker", "gloomy", "dim", "moody"),
        ("dark", "low light", "at night", "in the dark", "deep shadows", "moody light"),
        filters.dark,
        "light",
    ),
    Modifier(
        "bright",
        ("bright", "brighter", "light", "luminous", "airy"),
        ("bright light", "brightly lit", "high key", "daylight", "bright", "full of light"),
        filters.bright,
        "light",
    ),
    Modifier(
        "high contrast",
        ("dramatic", "contrasty", "stark"),
        ("high contrast", "strong contrast", "dramatic light", "stark contrast", "hard light"),
        filters.contrasty,
        "light",
    ),
    Modifier(
        "faded",
        ("faded", "pale", "hazy", "misty", "foggy"),
        ("faded", "pale colours", "low contrast", "in fog", "mist", "haze", "washed out"),
        filters.faded,
        "light",
    ),
)

SUBJECTS = _phrases(
    "a man|a woman|a child|a girl|a boy|a face|a portrait|people|a dog|a cat|a horse|a bird"
    "|animals|a house|a castle|a church|a city|a street|a bridge|a tower|a landscape|mountains"
    "|a forest|trees|the sea|a lake|a river|the sky|clouds|a flower|flowers|a garden|a car|a train"
    "|a boat|a dancer|an actor|a singer|a sculpture|hands|a room|a table|food|a tree|snow|a beach"
    "|a field|a lion|a bear|fish|a king|a queen|a knight|a robot|a monster|a wizard|a soldier"
)
_PRAISE = _phrases(
    "beautiful|masterpiece|best quality|highly detailed|detailed|intricate|sharp|elegant|famous"
    "|award winning|stylised|artistic|by a great artist"
)
_JOINING = _phrases(
    "s|an|and|with|the|of|for|from|to|this|that|is|very|some|but|my|picture|colours|colors"
)
_PATTERNS = (
    "{look}",
    "{look}",
    "a {look}",
    "a {look} of {subject}",
    "{look} of {subject}",
    "{subject}, {look}",
    "{subject}, {look} style",
    "{subject} as a {look}",
    "{subject} in the style of {look}",
    "in the style of {look}",
    "{look} style",
    "make it look like {look}",
    "turn it into a {look}",
    "{praise} {look} of {subject}",
    "{subject}, {praise}, {look}",
    "{look}, {praise}",
)


def known_words() -> list[str]:
    """Every word that a caption can hold, in alphabetical order."""
    phrases = [*_PATTERNS, *SUBJECTS, *_PRAISE, "and", "with", "the", "of"]
    for look in LOOKS:
        phrases += look.phrases
    for modifier in MODIFIERS:
        phrases += [*modifier.adjectives, *modifier.phrases]
    return _words_of(phrases)


def _words_of(phrases: Iterable[str]) -> list[str]:
    text = " ".join(phrases)
    for field in ("{look}", "{subject}", "{praise}"):
        text = text.replace(field, " ")
    return sorted(set(text.replace(",", " ").split()))


def understood_words() -> list[str]:
    """Every word that asks for something the shipped weights can do, and those that join them."""
    phrases = [*_PATTERNS, *_PRAISE, *_JOINING]
    for look in LOOKS:
        phrases += look.phrases if look.offered else ()
    for modifier in MODIFIERS:
        phrases += [modifier.name, *modifier.adjectives, *modifier.phrases]
    return _words_of(phrases)


def vocabulary_table() -> str:
    """The offered looks and the modifiers with the words that ask for them, every word that is
    understood, and the guidance scale that suits the weights, as JSON.
    """
    table = {
        "guidance_scale": 1.0,
        "looks": {look.name: list(look.phrases) for look in LOOKS if look.offered},
        "modifiers": {m.name: sorted({*m.adjectives, *m.phrases}) for m in MODIFIERS},
        "words": understood_words(),
    }
    return json.dumps(table, indent=1, ensure_ascii=False)


def modifier_sets() -> list[tuple[Modifier, ...]]:
    """None, each alone, and every pair of a hue and a light."""
    hues = [modifier for modifier in MODIFIERS if modifier.group == "hue"]
    lights = [modifier for modifier in MODIFIERS if modifier.group == "light"]
    return [(), *((m,) for m in MODIFIERS), *((hue, light) for hue in hues for light in lights)]


def captions(
    look: Look, modifiers: tuple[Modifier, ...], count: int, rng: random.Random
) -> Iterator[str]:
    """Random sentences that ask for the look with the modifiers."""
    for _ in range(count):
        yield _caption(look, modifiers, rng)


def idle_captions(count: int, rng: random.Random) -> Iterator[str]:
    """Sentences that ask for nothing: empty, or only a subject."""
    for number in range(count):
        yield "" if number % 2 == 0 else _subject(rng)


def _caption(look: Look, modifiers: tuple[Modifier, ...], rng: random.Random) -> str:
    phrase = rng.choice(look.phrases) if rng.random() < 0.7 else look.name
    before, after = [], []
    for modifier in modifiers:
        if rng.random() < 0.5:
            before.append(rng.choice(modifier.adjectives))
        else:
            after.append(rng.choice((*modifier.phrases, *modifier.adjectives, modifier.name)))
    pattern = rng.choice(_PATTERNS)
    sentence = pattern.format(
        look=" ".join([*before, phrase]), subject=_subject(rng), praise=rng.choice(_PRAISE)
    )
    if after and rng.random() < 0.3:
        return ", ".join([*after, sentence])
    return ", ".join([sentence, *after])


def _subject(rng: random.Random) -> str:
    """Mostly a known one; else invented words, so that the model learns to ignore such."""
    if rng.random() < 0.65:
        return rng.choice(SUBJECTS)
    words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(3))
    return " ".join(list(words)[: rng.randint(1, 3)])
