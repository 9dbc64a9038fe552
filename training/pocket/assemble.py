"""Puts the trained parts together as one model folder in diffusers layout.

python -m training.pocket.assemble WORK/vae WORK/model engine/translation/pocket_model
"""

import argparse
import json
import shutil
from pathlib import Path

from training.pocket.looks import vocabulary_table

_INDEX = {
    "_class_name": "StableDiffusionControlNetPipeline",
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "controlnet": ["diffusers", "ControlNetModel"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
}


def assemble(vae: Path, model: Path, target: Path) -> None:
    for part in ("text_encoder", "tokenizer", "unet", "controlnet", "scheduler"):
        shutil.copytree(model / part, target / part, dirs_exist_ok=True)
    shutil.copytree(vae, target / "vae", dirs_exist_ok=True)
    (target / "model_index.json").write_text(json.dumps(_INDEX, indent=2) + "\n", "utf-8")
    (target / "looks.json").write_text(vocabulary_table() + "\n", "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("vae", "model", "target"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    assemble(options.vae, options.model, options.target)
