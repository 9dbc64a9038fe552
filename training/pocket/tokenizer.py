"""A CLIP tokenizer over the closed vocabulary: each known word is one token."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.pocket.looks import known_words

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77


def write_tokenizer(folder: Path) -> None:
    """Byte-pair merges learnt on the known words alone, until each of them is one token."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges(known_words())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    tokens += list(dict.fromkeys("".join(merge) for merge in merges))
    tokens += [START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH).save_pretrained(folder)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.decoder = decoders.BPEDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=20_000, min_frequency=0, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(words, trainer)
    return [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
