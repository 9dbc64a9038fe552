"""What kind of model files hold, told from their descriptions before any weights are read."""

import json
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ModelUnavailableError
from engine.translation.models.files import ModelFiles

Shape = tuple[int, ...]

_NO_PICTURES_OF_ITS_OWN = "an inpainting model, which paints inside masks"
_INSTEAD = "choose a Stable Diffusion 1.5 model for whole pictures"


def read_header(weights: Path) -> tuple[Mapping[str, Shape], Mapping[str, str]]:
    """The shapes of the tensors of a .safetensors file by name, and what it says of itself.

    Raises ModelUnavailableError for what is no such file.
    """
    try:
        with weights.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > weights.stat().st_size:
                raise ValueError("it is cut off")
            header = json.loads(file.read(size))
        facts = header.pop("__metadata__", None) or {}
        return {name: tuple(entry["shape"]) for name, entry in header.items()}, facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailableError(
            f"{weights} could not be loaded as a .safetensors file ({error}): download it again."
        ) from error


def check_base(model: ModelFiles) -> None:
    """Raises ModelUnavailableError for what is known to be no Stable Diffusion 1.5 model."""
    if model.single_file is not None:
        shapes, _ = read_header(model.single_file)
        other = _other_than_base(shapes)
    else:
        other = _other_than_folder(model.folder)
    if other:
        raise ModelUnavailableError(f"{model.single_file or model.folder} is {other}: {_INSTEAD}.")


def check_controlnet(controlnet: ModelFiles) -> None:
    """Raises ModelUnavailableError for a single file that is known to be of another model."""
    if controlnet.single_file is None:
        return
    shapes, _ = read_header(controlnet.single_file)
    widths = {shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")}
    for width, model in ((2048, "SDXL"), (1024, "Stable Diffusion 2")):
        if width in widths:
            raise ModelUnavailableError(
                f"{controlnet.single_file} is a ControlNet for {model}: choose one for Stable "
                "Diffusion 1.5."
            )


def _other_than_base(shapes: Mapping[str, Shape]) -> str:
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        return "an SDXL model"
    if any("lora_" in name for name in shapes):
        return "a LoRA, which belongs into the setting loras"
    if any(name.startswith(("control_model.", "controlnet_cond_embedding.")) for name in shapes):
        return "a ControlNet, which belongs into the setting controlnet"
    unet = "model.diffusion_model."
    if not any(name.startswith(unet) for name in shapes):
        return "no whole model"
    if shapes.get(f"{unet}input_blocks.0.0.weight", (0, 4))[1] == 9:
        return _NO_PICTURES_OF_ITS_OWN
    if any(name.startswith("cond_stage_model.model.") for name in shapes):
        return "a Stable Diffusion 2 model"
    return ""


def _other_than_folder(folder: Path) -> str:
    unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    if unet.get("addition_embed_type"):
        return "an SDXL model"
    if unet.get("in_channels") == 9:
        return _NO_PICTURES_OF_ITS_OWN
    return ""
