"""Prompts as the U-Net reads them: of any length, with weights and textual inversions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import ModelUnavailableError
from engine.translation.words.weights import weighted_parts

Inversions = Mapping[str, Tensor]
"""The vectors [tokens, C] of textual inversions, by the word that stands for them."""


@dataclass(frozen=True)
class _Token:
    id: int
    weight: float = 1.0
    vector: Tensor | None = None
    """[C]: stands in place of the vector of its id."""


def encode_prompts(
    tokenizer: Any, encoder: Any, prompts: Sequence[str], inversions: Inversions
) -> Tensor:
    """[len(prompts), tokens, C], where tokens is a multiple of what the encoder reads at once.

    A prompt that is longer is read in chunks, each by itself. A weight moves what a token became
    away from what stands in its place in an empty prompt, or towards it.
    """
    chunked = [
        _chunks(tokenizer, list(_tokens(tokenizer, prompt, inversions))) for prompt in prompts
    ]
    longest = max(len(chunks) for chunks in chunked)
    nothing = _chunks(tokenizer, [])
    rows = [row for chunks in chunked for row in (*chunks, *nothing * (longest - len(chunks)))]
    encoded = _encoded(encoder, rows)
    weights = encoded.new_tensor([[token.weight for token in row] for row in rows])[..., None]
    if (weights != 1).any():
        empty = _encoded(encoder, nothing)
        encoded = torch.where(weights == 1, encoded, empty + weights * (encoded - empty))
    return encoded.reshape(len(prompts), -1, encoded.shape[-1])


def load_inversions(files: Mapping[str, Path], width: int) -> Inversions:
    """Textual inversions by word, for a text encoder of that width."""
    return {word: _inversion(path, width) for word, path in files.items()}


def _inversion(path: Path, width: int) -> Tensor:
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelUnavailableError(
            f"{path} could not be read ({error}): download it again."
        ) from error
    vectors = tensors.get("emb_params", next(iter(tensors.values())) if len(tensors) == 1 else None)
    if vectors is None:
        raise ModelUnavailableError(
            f"{path} is no textual inversion for Stable Diffusion 1.5 (it holds "
            f"{', '.join(sorted(tensors)[:3])}): choose another file."
        )
    vectors = vectors.reshape(-1, vectors.shape[-1])
    if vectors.shape[-1] != width:
        raise ModelUnavailableError(
            f"The textual inversion {path} has vectors of {vectors.shape[-1]} numbers, and the "
            f"model reads {width}: it was made for another kind of model, choose another file."
        )
    return vectors


def _tokens(tokenizer: Any, prompt: str, inversions: Inversions) -> Iterator[_Token]:
    words = "|".join(re.escape(word) for word in sorted(inversions, key=len, reverse=True))
    for part in weighted_parts(prompt):
        pieces = re.split(rf"(?<!\w)({words})(?!\w)", part.text, flags=re.I)
        for piece in pieces if words else [part.text]:
            if piece.casefold() in inversions:
                for vector in inversions[piece.casefold()]:
                    yield _Token(tokenizer.pad_token_id, part.weight, vector)
            else:
                for token in tokenizer(piece, add_special_tokens=False).input_ids:
                    yield _Token(token, part.weight)


def _chunks(tokenizer: Any, tokens: Sequence[_Token]) -> list[list[_Token]]:
    """Rows of the length that the encoder reads, each with its begin, end and padding."""
    begin, end, padding = (
        _Token(token)
        for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    )
    length = tokenizer.model_max_length
    room = length - 2
    rows = [
        [begin, *tokens[first : first + room], end] for first in range(0, len(tokens) or 1, room)
    ]
    return [[*row, *[padding] * (length - len(row))] for row in rows]


def _encoded(encoder: Any, rows: Sequence[Sequence[_Token]]) -> Tensor:
    ids = torch.tensor([[token.id for token in row] for row in rows], device=encoder.device)

    def put_vectors(_module: object, _inputs: object, embedded: Tensor) -> Tensor:
        for row, tokens in enumerate(rows):
            for column, token in enumerate(tokens):
                if token.vector is not None:
                    embedded[row, column] = token.vector
        return embedded

    with encoder.get_input_embeddings().register_forward_hook(put_vectors):
        encoded: Tensor = encoder(ids)[0]
    return encoded
