"""Diffusion models of given shapes with random weights, written as real ones are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


@dataclass(frozen=True)
class Shapes:
    """How wide and deep the networks are."""

    unet: tuple[int, ...]
    layers: int
    heads: int
    vae: tuple[int, ...]
    groups: int
    text_width: int
    text_layers: int


STABLE_DIFFUSION = Shapes(
    (320, 640, 1280, 1280), 2, 8, (128, 256, 512, 512), 32, text_width=768, text_layers=12
)
"""Version 1.5."""
TINY = Shapes((32, 64), 1, 4, (16, 16, 16, 16), 8, text_width=32, text_layers=2)


def write_random_model(folder: Path, shapes: Shapes, device: str) -> tuple[Path, Path]:
    """The folders of a model and of a ControlNet for it, in diffusers layout."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        unet = _unet(shapes)
        networks: Any = ControlNetModel
        controlnet = networks.from_unet(unet)
        for parameter in controlnet.parameters():  # its output layers begin at zero: no effect
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
        vae = AutoencoderKL(
            block_out_channels=shapes.vae,
            down_block_types=("DownEncoderBlock2D",) * len(shapes.vae),
            up_block_types=("UpDecoderBlock2D",) * len(shapes.vae),
            layers_per_block=shapes.layers,
            norm_num_groups=shapes.groups,
        )
        tokenizer = _tokenizer(folder / "words")
        text_encoder = _text_encoder(shapes, tokenizer)
    pipelines: Any = StableDiffusionPipeline
    pipeline = pipelines(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            clip_sample=False,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=dtype).save_pretrained(folder / "model")
    controlnet.to(dtype=dtype).save_pretrained(folder / "controlnet")
    return folder / "model", folder / "controlnet"


def _unet(shapes: Shapes) -> Any:
    depth = len(shapes.unet) - 1
    return UNet2DConditionModel(
        block_out_channels=shapes.unet,
        layers_per_block=shapes.layers,
        down_block_types=("CrossAttnDownBlock2D",) * depth + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * depth,
        cross_attention_dim=shapes.text_width,
        attention_head_dim=shapes.heads,
        norm_num_groups=shapes.groups,
    )


def _text_encoder(shapes: Shapes, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=shapes.text_width,
            intermediate_size=4 * shapes.text_width,
            num_attention_heads=shapes.text_width // 16 if shapes is TINY else 12,
            num_hidden_layers=shapes.text_layers,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """Knows single letters only."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
