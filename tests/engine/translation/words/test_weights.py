"""Prompts with weights, of any length, with words of one's own."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from engine.errors import ModelUnavailableError
from engine.settings import TranslationSettings
from engine.translation.stable_diffusion.text_encoding import Inversions, encode_prompts
from engine.translation.words.vocabulary import built_in_vocabulary
from engine.translation.words.weights import weighted_parts

if TYPE_CHECKING:
    from tests.engine.translation.conftest import Shot


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a cat", [("a cat", 1)]),
        ("a (cat:1.3), red", [("a ", 1), ("cat", 1.3), (", red", 1)]),
        ("(cat) [dog]", [("cat", 1.1), (" ", 1), ("dog", 1 / 1.1)]),
        ("((cat:1.2) dog:0.5)", [("cat", 0.6), (" dog", 0.5)]),
        ("a (b:1) c", [("a b c", 1)]),
        (r"smile \(wide\)", [("smile (wide)", 1)]),
        ("(never closed", [("(never closed", 1)]),
        ("12:30) closed", [("12:30) closed", 1)]),
        ("", []),
    ],
)
def test_brackets_give_weights(prompt: str, parts: list[tuple[str, float]]) -> None:
    found = weighted_parts(prompt)
    assert [part.text for part in found] == [text for text, _ in parts]
    assert [part.weight for part in found] == pytest.approx([weight for _, weight in parts])


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Any:
    network: Any = CLIPTextModel
    return network.from_pretrained(tiny_model / "text_encoder").eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> CLIPTokenizer:
    loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(tiny_model / "tokenizer")
    return loaded


class Encode:
    """Encodes a single prompt, [tokens, C]."""

    def __init__(self, tokenizer: CLIPTokenizer, encoder: Any) -> None:
        self._networks = tokenizer, encoder

    @torch.inference_mode()
    def __call__(self, prompt: str, inversions: Inversions | None = None) -> torch.Tensor:
        return encode_prompts(*self._networks, [prompt], inversions or {})[0]


@pytest.fixture
def encode(tokenizer: CLIPTokenizer, encoder: Any) -> Encode:
    return Encode(tokenizer, encoder)


@torch.inference_mode()
def test_a_plain_prompt_is_read_as_transformers_reads_it(
    encode: Encode, tokenizer: CLIPTokenizer, encoder: Any
) -> None:
    tokens = tokenizer("a cat", padding="max_length", max_length=77, return_tensors="pt")
    assert torch.equal(encode("a cat"), encoder(tokens.input_ids)[0][0])
    assert torch.equal(encode("a (cat:1.0)"), encode("a cat"))


def test_a_weight_moves_its_word_alone_and_0_leaves_nothing_of_it(encode: Encode) -> None:
    plain, empty = encode("a b c"), encode("")
    weighted = encode("a (b:1.5) c")  # begin, a, b, c, end ...
    assert torch.equal(weighted[[0, 1, 3, 4]], plain[[0, 1, 3, 4]])
    assert torch.allclose(weighted[2], empty[2] + 1.5 * (plain[2] - empty[2]), atol=1e-6)
    assert torch.allclose(encode("a (b:0) c")[2], empty[2], atol=1e-6)


def test_a_long_prompt_is_read_to_its_end_in_chunks(encode: Encode) -> None:
    long = "a " * 75 + "b " * 10
    read = encode(long)
    assert read.shape[0] == 2 * 77
    assert torch.allclose(read[:77], encode("a " * 75), atol=1e-6)
    assert torch.allclose(read[77:], encode("b " * 10), atol=1e-6)


def test_two_prompts_get_the_same_number_of_chunks(
    tokenizer: CLIPTokenizer, encoder: Any, encode: Encode
) -> None:
    with torch.inference_mode():
        both = encode_prompts(tokenizer, encoder, ["", "a " * 200], {})
    assert both.shape[:2] == (2, 3 * 77)
    assert torch.allclose(both[0, :77], encode(""), atol=1e-6)


def test_a_word_of_ones_own_stands_for_its_vectors(encode: Encode, encoder: Any) -> None:
    """The vectors of two words in place of one: the same text."""
    table = encoder.get_input_embeddings().weight.detach()
    ids = [encode._networks[0].convert_tokens_to_ids(word) for word in ("b</w>", "c</w>")]
    read = encode("a My-Style d", {"my-style": table[ids]})
    assert torch.equal(read, encode("a b c d"))
    assert not torch.equal(encode("a my-styles d", {"my-style": table[ids]}), read)


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    file = tmp_path / "gouache.safetensors"
    torch.manual_seed(5)
    save_file({"emb_params": torch.randn(2, 32)}, file)
    return file


def test_an_embedding_acts_where_the_prompt_names_it(
    shot: "Shot",
    tiny_settings: TranslationSettings,
    embedding: Path,
    photo: Any,
) -> None:
    recipe = shot.painter.recipe
    source = photo(64, 64)
    for place in (embedding, embedding.parent):
        with_it = replace(tiny_settings, embeddings=str(place), prompt="a cat, gouache")
        without = replace(with_it, embeddings="")
        one, other = (shot.paint(source, settings, ()) for settings in (with_it, without))
        assert np.abs(one - other).max() > 1e-4
        assert recipe(with_it) != recipe(without)
    unnamed = replace(tiny_settings, embeddings=str(embedding))
    assert recipe(unnamed) == recipe(tiny_settings)


def test_an_embedding_that_does_not_fit_is_refused(
    shot: "Shot", tiny_settings: TranslationSettings, tmp_path: Path, photo: Any
) -> None:
    settings = replace(tiny_settings, embeddings=str(tmp_path), prompt="wide or pickled")
    save_file({"emb_params": torch.randn(2, 768)}, tmp_path / "wide.safetensors")
    with pytest.raises(ModelUnavailableError, match="vectors of 768 numbers, and the model reads"):
        shot.paint(photo(64, 64), settings, ())
    save_file({"clip_l": torch.ones(1), "clip_g": torch.ones(1)}, tmp_path / "wide.safetensors")
    with pytest.raises(ModelUnavailableError, match=r"holds clip_g, clip_l"):
        shot.paint(photo(64, 64), settings, ())
    (tmp_path / "pickled.pt").write_bytes(b"")
    with pytest.raises(ModelUnavailableError, match=r"pickled\.pt.* not a \.safetensors file"):
        shot.painter.recipe(settings)
    unnamed = replace(settings, embeddings=str(tmp_path / "pickled.pt"), prompt="a cat")
    with pytest.raises(ModelUnavailableError, match=r"pickled\.pt.* not a \.safetensors file"):
        shot.painter.recipe(unnamed)
    with pytest.raises(ModelUnavailableError, match=r'embedding "/no/such" does not exist'):
        shot.painter.recipe(replace(settings, embeddings="/no/such"))


def test_the_vocabulary_of_the_built_in_model_keeps_weights() -> None:
    vocabulary = built_in_vocabulary()
    understood = vocabulary.understood("a (watercolour:1.3) of a lion, [sepia]")
    assert understood == "a (watercolour:1.3) of a, (sepia:0.9091)"
    assert vocabulary.understood("(woodcut:1.2)") == "(woodcut:1.2)"
    assert vocabulary.understood("(woodcut:20000)") == "(woodcut:20000)"
    assert vocabulary.understood("(woodcut:0.00001)") == "(woodcut:0)"
    assert vocabulary.advice("an (oil painting:1.25), (cold light)") == ""


@pytest.mark.parametrize(
    ("prompt", "understood"),
    [
        ("Watercolours", "watercolour"),
        ("(water-colours:1.3), cold", "(watercolour:1.3), cold"),
        ("water colour of a lion", "watercolour of a"),
        ("pencil drawings", "pencil drawing"),
        ("comics", "comic"),
        ("pastels", "pastel"),
        ("Tapestries in blue", "tapestry in blue"),
        ("stained glasses", "stained glass"),
        ("a wood cut", "a woodcut"),
        ("blue\u2011print", "blueprint"),
    ],
)
def test_the_built_in_model_hears_plurals_and_divided_words(prompt: str, understood: str) -> None:
    assert built_in_vocabulary().understood(prompt) == understood
    assert "names no look" not in built_in_vocabulary().advice(prompt)


def test_half_a_look_is_told_as_what_it_is_taken_for() -> None:
    vocabulary = built_in_vocabulary()
    assert vocabulary.understood("ink") == "ink, ink drawing"
    advice = vocabulary.advice("ink")
    assert advice.startswith("The prompt is taken to ask for an ink drawing. `inbetween looks`")
    assert "names no look that the built-in model knows: it paints an oil" in vocabulary.advice("s")


def test_words_that_a_weight_holds_apart_are_told_as_they_are_heard() -> None:
    vocabulary = built_in_vocabulary()
    assert vocabulary.understood("water (colour:1.3)") == "(colour:1.3), oil painting"
    assert "does not know: water. The prompt names no look" in vocabulary.advice(
        "water (colour:1.3)"
    )


def test_the_built_in_model_paints_a_weighted_word_more_strongly(
    shot: "Shot", pocket_settings: TranslationSettings, photo: Any
) -> None:
    settings = replace(pocket_settings, model="pocket", controlnet="pocket", steps=6)

    def warmth(weight: float) -> float:
        prompt = f"an oil painting, (sepia:{weight})"
        painted = shot.paint(photo(64, 64), replace(settings, prompt=prompt), ())
        return float((painted[..., 0] - painted[..., 2]).mean())

    assert warmth(0.5) < warmth(1) < warmth(1.5)
