"""LoRAs: what they add to the weights of a model, changed in place without loading it again."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import ModelUnavailableError

_DOWN = ("lora_down", "lora.down", "lora_A", "lora_A.default", "lora_linear_layer.down")
_UP = ("lora_up", "lora.up", "lora_B", "lora_B.default", "lora_linear_layer.up")
_KEY = re.compile(
    rf"(?P<layer>.+?)[._](?:(?P<down>{'|'.join(map(re.escape, _DOWN))})"
    rf"|(?P<up>{'|'.join(map(re.escape, _UP))}))\.weight|(?P<alone>.+)\.alpha"
)
_FOR_SDXL = re.compile(r"(lora_te[12]_|text_encoder_2|.*\b(input|output)_blocks|.*_blocks_\d_1_\d)")
_PREFIXES = {
    "unet": ("lora_unet_", "unet_"),
    "text_encoder": ("lora_te_text_model_", "text_encoder_text_model_", "text_encoder_"),
}


@dataclass
class _Layer:
    """What a LoRA says of one layer: W + weight * alpha / rank * up down."""

    down: Tensor | None = None
    """[rank, in] or [rank, in, k, k]."""
    up: Tensor | None = None
    """[out, rank] or [out, rank, 1, 1]."""
    alpha: float | None = None


_Product = tuple[float, Tensor, Tensor]
"""A factor, up [out, rank] and down [rank, in]."""


@dataclass
class LoraMixer:
    """The weights of a model with those of LoRAs added.

    The same LoRAs give the same bits, whatever was mixed in before: each mix begins at the model's
    own weights, which are kept in main memory for the layers that a LoRA has changed.
    """

    parts: Mapping[str, Any]
    """The networks that LoRAs change: "unet" and "text_encoder"."""
    _own: dict[Any, Tensor] = field(default_factory=dict)
    """By layer: its weights without any LoRA."""
    _mixed: object = ()

    def use(self, loras: Mapping[Path, float], identity: object) -> None:
        """Mixes in these and no others; nothing happens where `identity` is that of the last mix.

        Raises ModelUnavailableError for a file that is no LoRA for the model.
        """
        if identity == self._mixed:
            return
        added: defaultdict[Any, list[_Product]] = defaultdict(list)
        for path, weight in loras.items():
            for layer, product in self._products(path, weight):
                added[layer].append(product)
        for layer in added.keys() - self._own.keys():
            self._own[layer] = layer.weight.detach().cpu().clone()
        for layer, own in self._own.items():
            mixed = own.to(layer.weight.device, torch.float32)
            for factor, up, down in added[layer]:
                mixed = mixed + factor * (up.to(mixed) @ down.to(mixed)).reshape(mixed.shape)
            layer.weight.data.copy_(mixed)
        self._mixed = identity

    def _products(self, path: Path, weight: float) -> Iterable[tuple[Any, _Product]]:
        """What a file adds to each layer, once it is known to fit all of them."""
        layers = _read(path)
        known = {
            f"{part} {name.replace('.', '_')}": layer
            for part in _PREFIXES
            for name, layer in self.parts[part].named_modules()
            if getattr(layer, "weight", None) is not None
        }
        for name, lora in layers.items():
            layer = known.get(name) or known.get(f"{name}_0")
            if layer is None or lora.up is None or lora.down is None:
                raise _unfit(path, name)
            rank = len(lora.down)
            up, down = lora.up.flatten(1), lora.down.flatten(1)
            fits = (len(up), down.shape[1]) == (len(layer.weight), layer.weight[0].numel())
            if not fits or up.shape[1] != rank:
                raise _unfit(path, name)
            scale = (rank if lora.alpha is None else lora.alpha) / rank
            yield layer, (weight * scale, up, down)


def _read(path: Path) -> Mapping[str, _Layer]:
    """By the part of the model and the name of the layer in it, with _ for its dots."""
    layers: defaultdict[str, _Layer] = defaultdict(_Layer)
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
            if any(told for fact, told in facts.items() if fact.endswith("alpha_pattern")):
                raise _unfit(path, "alpha_pattern")
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                found = _KEY.fullmatch(key)
                if _FOR_SDXL.match(key.replace(".", "_")) or found is None:
                    raise _unfit(path, key)
                layer = layers[_name(found["layer"] or found["alone"])]
                if found["alone"]:
                    layer.alpha = float(file.get_tensor(key))
                elif found["down"]:
                    layer.down = file.get_tensor(key)
                else:
                    layer.up = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"The LoRA {path} could not be read ({error}): download it again."
        ) from error
    for name, layer in layers.items():
        layer.alpha = facts.get(f"{name.split()[0]}.lora_alpha", layer.alpha)
    return layers


def _name(layer: str) -> str:
    """For example "unet mid_block_attentions_0_proj_in"; the same for every tool's spelling."""
    flat = layer.replace(".", "_").replace("base_model_model_", "").replace("_processor_", "_")
    for part, prefixes in _PREFIXES.items():
        for prefix in prefixes:
            if flat.startswith(prefix):
                return f"{part} {flat.removeprefix(prefix)}"
    return f"unet {flat}"


def _unfit(path: Path, name: str) -> ModelUnavailableError:
    return ModelUnavailableError(
        f"{path} is no LoRA for this model (see its {name}): one for SDXL perhaps, or of another "
        "kind such as LoHa or DoRA. Choose a LoRA for Stable Diffusion 1.5."
    )
