"""CLIP, which tells how alike pictures and words are (Radford et al. 2021): for the metrics."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.errors import ModelUnavailableError
from engine.graphics_card import graphics_card
from engine.types import FloatArray

USUAL_CLIP = "openai/clip-vit-large-patch14"
"""ViT-L/14, with which figures are compared; 1.7 GB."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = ("*.json", "*.txt", "*.safetensors")
_NEEDED = ("config.json", "*.safetensors", "tokenizer*.json")
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


class VisionLanguageModel:
    """Pictures and words as vectors of length 1. Always in full precision."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelUnavailableError for a folder that holds no CLIP model as .safetensors."""
        missing = [pattern for pattern in _NEEDED if not any(folder.glob(pattern))]
        if missing:
            raise ModelUnavailableError(
                f"The CLIP model {folder} lacks {', '.join(missing)}: name a folder as "
                "transformers writes it, with weights as .safetensors."
            )
        import torch
        from safetensors import SafetensorError
        from transformers import CLIPModel, CLIPTokenizer

        model_class: Any = CLIPModel
        tokenizer_class: Any = CLIPTokenizer
        self._device = "cuda" if graphics_card() and torch.cuda.is_available() else "cpu"
        try:
            model = model_class.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
            self._tokenizer = tokenizer_class.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelUnavailableError(
                f"{folder} could not be loaded as a CLIP model ({reason}): choose another one, or "
                "download it again."
            ) from error
        self._model = model.to(self._device).eval()

    def picture(self, picture: FloatArray) -> FloatArray:
        """The embedding of a picture [H, W, 3] in painting space."""
        import torch

        pixels = prepared(picture, self._model.config.vision_config.image_size)
        with torch.inference_mode():
            tensor = torch.from_numpy(pixels)[None].to(self._device)
            return _unit(self._model.get_image_features(tensor).pooler_output)

    def words(self, text: str) -> FloatArray:
        """The embedding of a prompt."""
        import torch

        tokens = self._tokenizer([text], truncation=True, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return _unit(self._model.get_text_features(**tokens).pooler_output)


def prepared(picture: FloatArray, size: int) -> FloatArray:
    """The middle square of a picture [H, W, 3] as CLIP takes it: [3, size, size]."""
    pixels = Image.fromarray(np.rint(picture.clip(0, 1) * 255).astype(np.uint8))
    scale = size / min(pixels.size)
    width, height = (max(size, round(side * scale)) for side in pixels.size)
    resized = pixels.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    square = np.asarray(resized.crop((left, top, left + size, top + size)), np.float32) / 255
    return np.ascontiguousarray(((square - _MEAN) / _DEVIATION).transpose(2, 0, 1), np.float32)


def find_clip(name: str, *, download: bool) -> Path:
    """The folder of a CLIP model: as it is, or of a hub name, fetched where that is allowed.

    Raises ModelUnavailableError where there is none.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(name):
        raise ModelUnavailableError(
            f'The CLIP model "{name}" does not exist: name a folder, or a hub name such as '
            f"{USUAL_CLIP}."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(
            snapshot_download(name, allow_patterns=list(_FILES), local_files_only=not download)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelUnavailableError(
            f'The CLIP model "{name}" is not on this machine and could not be downloaded: check '
            "the name and the connection, or name the folder of one that you have."
        ) from error


def _unit(features: Any) -> FloatArray:
    vector = features[0].float().cpu().numpy()
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
