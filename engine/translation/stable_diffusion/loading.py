"""The networks of Stable Diffusion 1.5, loaded from files by diffusers and checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import logging as transformers_logging

from engine.errors import ModelUnavailableError, OutOfMemoryError
from engine.graphics_card import can_build_kernels
from engine.translation.controls.registry import ControlImages
from engine.translation.execution import Eager, Graphs
from engine.translation.models.files import ModelFiles
from engine.translation.stable_diffusion.attention import Attention
from engine.translation.stable_diffusion.file_checks import check_base, check_controlnet
from engine.translation.stable_diffusion.networks import ControlNet, StableDiffusion


def load_stable_diffusion(
    identity: str,
    model: ModelFiles,
    vae: ModelFiles | None,
    controlnets: Sequence[ModelFiles],
    card: str | None,
) -> StableDiffusion:
    """Loads a model: on the graphics card in half precision, without one in full precision.

    Raises ModelUnavailableError for what is no Stable Diffusion 1.5 model and for a card that torch
    cannot use.
    """
    if card and not torch.cuda.is_available():
        raise ModelUnavailableError(
            f"The graphics card {card} cannot be used by PyTorch: renew its driver, or paint "
            "without it by CUDA_VISIBLE_DEVICES=-1."
        )
    device, dtype = ("cuda", torch.float16) if card else ("cpu", torch.float32)
    # Of the built-in model on a processor and of Stable Diffusion on a card, a step takes 13 % less
    # time in this layout.
    layout = torch.channels_last
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    check_base(model)
    with _loading_errors(model):
        pipeline = _load_pipeline(model, dtype)
        _check_architecture(pipeline, model)
    if vae is not None:
        with _loading_errors(vae):
            pipeline.vae = load_part(AutoencoderKL, vae, dtype)
            _check_vae(pipeline, vae)
    execution = Graphs() if card else Eager()
    loaded = []
    for files in controlnets:
        with _loading_errors(files):
            check_controlnet(files)
            network = load_part(ControlNetModel, files, dtype)
            _check_controlnet(network, pipeline.unet, files)
            network.set_attn_processor(Attention())
            loaded.append(_in_two_parts(network.to(device, memory_format=layout).eval()))
    if card and can_build_kernels():
        from engine.translation.stable_diffusion.triton_layers import fuse

        for network in (pipeline.unet, pipeline.vae, *(each.network for each in loaded)):
            fuse(network)
    # What the ControlNets add is needed behind the last block of the encoder.
    pipeline.unet.down_blocks[-1].register_forward_hook(lambda *_: execution.join())
    with _loading_errors(model):
        return StableDiffusion(
            identity=identity,
            unet=pipeline.unet.to(device, memory_format=layout).eval(),
            vae=pipeline.vae.to(device, memory_format=layout if card else None).eval(),
            text_encoder=pipeline.text_encoder.to(device).eval(),
            tokenizer=pipeline.tokenizer,
            controlnets=tuple(loaded),
            control_images=ControlImages(device),
            signal=pipeline.scheduler.alphas_cumprod.double(),
            prediction=pipeline.scheduler.config.prediction_type,
            execution=execution,
        )


def _load_pipeline(model: ModelFiles, dtype: torch.dtype) -> Any:
    options = {"dtype": dtype, "local_files_only": True, "safety_checker": None}
    if model.single_file is None:
        return StableDiffusionPipeline.from_pretrained(
            model.folder, use_safetensors=True, **options
        )
    return StableDiffusionPipeline.from_single_file(
        str(model.single_file), config=str(model.folder), **options
    )


def load_part(network: Any, model: ModelFiles, dtype: torch.dtype) -> Any:
    """A network that is a model by itself."""
    options = {"dtype": dtype, "local_files_only": True}
    if model.single_file is None:
        return network.from_pretrained(model.folder, use_safetensors=True, **options)
    return network.from_single_file(str(model.single_file), config=str(model.folder), **options)


def _in_two_parts(network: Any) -> ControlNet:
    first_layers = network.controlnet_cond_embedding
    network.controlnet_cond_embedding = torch.nn.Identity()
    return ControlNet(network, first_layers)


def _check_architecture(pipeline: Any, model: ModelFiles) -> None:
    unet, text = pipeline.unet.config, pipeline.text_encoder.config
    fits = (
        unet.in_channels == pipeline.vae.config.latent_channels
        and unet.cross_attention_dim == text.hidden_size
        and unet.addition_embed_type is None
    )
    if not fits:
        raise ModelUnavailableError(
            f"{model.single_file or model.folder} is no Stable Diffusion 1.5 model for whole "
            "pictures: choose another model."
        )


def _check_vae(pipeline: Any, vae: ModelFiles) -> None:
    """The latents of the model must be those of the VAE."""
    channels, wanted = pipeline.vae.config.latent_channels, pipeline.unet.config.in_channels
    if channels != wanted:
        raise ModelUnavailableError(
            f"The VAE {vae.single_file or vae.folder} has latents of {channels} channels, and the "
            f"model of {wanted}: choose a VAE that was made for this kind of model, or none."
        )


def _check_controlnet(controlnet: Any, unet: Any, model: ModelFiles) -> None:
    names = ("cross_attention_dim", "in_channels", "block_out_channels")
    if any(getattr(controlnet.config, name) != getattr(unet.config, name) for name in names):
        raise ModelUnavailableError(
            f"The ControlNet {model.single_file or model.folder} was made for another model than "
            "the one chosen: choose one for Stable Diffusion 1.5."
        )


@contextmanager
def _loading_errors(model: ModelFiles) -> Iterator[None]:
    """What diffusers raises for files it cannot use, as our errors."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"The graphics card has too little memory to load {model.folder}: close other programs "
            "that use it."
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        SingleFileComponentError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnavailableError(
            f"{model.single_file or model.folder} could not be loaded as what it should be, for "
            f"Stable Diffusion 1.5 ({reason}): choose another one, or download it again."
        ) from error
