"""What a prompt becomes when a look is chosen."""

import pytest
from inbetween.v1 import render_pb2

from engine.translation.words.vocabulary import built_in_vocabulary
from panel.model.looks import with_look


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", "woodcut"),
        ("a Watercolor of a lion, cold", "a woodcut of a lion, cold"),
        ("watercolours, cold", "woodcut, cold"),
        ("water colour", "woodcut"),
        ("pencil-drawings in the rain", "woodcut in the rain"),
        ("warm light", "warm light, woodcut"),
    ],
)
def test_a_look_takes_the_place_of_the_one_that_the_prompt_names(prompt: str, wanted: str) -> None:
    looks = [
        render_pb2.Look(name=look.name, phrases=look.phrases)
        for look in built_in_vocabulary().looks
    ]
    assert with_look(prompt, "woodcut", looks) == wanted
