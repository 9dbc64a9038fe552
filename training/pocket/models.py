"""The networks of the pocket model, in the classes of Stable Diffusion 1.5.

The type checker cannot see into diffusers, so networks are passed as Any.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LATENT_CHANNELS = 20
"""Five times those of Stable Diffusion: little pictures need detail more than a simple latent."""
TEXT_WIDTH = 128
SLOWNESS = 3.0
"""Of the noise at first. What is grey in grey, as a face far away, has half the deviation of other
latents: by the schedule of Stable Diffusion nothing of it comes through from a strength of 0.3 on.
"""
_FIRST_LOG_VARIANCE, _GIVEN_UP_LOG_VARIANCE = -6.0, -4.0
"""Of a latent whose deviation is 1."""
_WIDTHS = (96, 128, 144)
_HEADS = (3, 4, 6)
_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
_UP = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
_COMMON: Mapping[str, Any] = {
    "in_channels": LATENT_CHANNELS,
    "block_out_channels": _WIDTHS,
    "layers_per_block": 2,
    "down_block_types": _DOWN,
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": _HEADS,
    "norm_num_groups": 16,
}


def new_vae() -> Any:
    """Without attention, so that time and memory grow only with the number of pixels."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 64, 96, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        sample_size=512,
    )


def new_unet() -> Any:
    return UNet2DConditionModel(
        sample_size=64, out_channels=LATENT_CHANNELS, up_block_types=_UP, **_COMMON
    )


def new_controlnet() -> Any:
    return ControlNetModel(conditioning_embedding_out_channels=(8, 16, 32, 64), **_COMMON)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            projection_dim=TEXT_WIDTH,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_scheduler(slowness: float = SLOWNESS) -> Any:
    """The schedule of Stable Diffusion 1.5 with its noise coming slowly at first: the share t of
    all times is its share (e^kt - 1) / (e^k - 1), k the slowness; with 0 it is that schedule. Both
    end with the same noise. The networks predict v (Salimans and Ho 2022): of an almost pure noise,
    noise says nothing about the picture.
    """
    usual: Any = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    last = len(usual.alphas_cumprod)
    share = np.linspace(0, 1, last + 1)
    usual_share = np.expm1(slowness * share) / np.expm1(slowness) if slowness else share
    faded = np.concatenate([[0.0], -usual.alphas_cumprod.double().log().numpy()])
    return DDIMScheduler(
        trained_betas=(-np.expm1(-np.diff(np.interp(usual_share, share, faded)))).tolist(),
        num_train_timesteps=last,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def take_over(network: Any, weights: Mapping[str, Tensor]) -> None:
    """Starts `network` from the weights of one with fewer latent channels: what is beyond them
    keeps its random start.
    """
    with torch.no_grad():
        for name, own in network.state_dict().items():
            given = weights[name]
            common = tuple(slice(min(sides)) for sides in zip(own.shape, given.shape, strict=True))
            own[common] = given[common].to(own)


def take_over_vae(vae: Any, weights: Mapping[str, Tensor]) -> None:
    """The same for an autoencoder, whose channels that were given up begin anew, as those beyond
    do: the decoder looks at such a channel only as it is taught to. The moments are the means of
    all channels, then the logarithms of their variances, which start low for all of them.
    """
    take_over(vae, weights)
    old, new = len(weights["quant_conv.bias"]) // 2, LATENT_CHANNELS
    given_up = weights["quant_conv.bias"][old:] > _GIVEN_UP_LOG_VARIANCE
    fresh = [channel for channel in range(new) if channel >= old or given_up[channel]]
    with torch.no_grad():
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        weight[fresh] = 0.2 * torch.randn_like(weight[fresh])
        bias[fresh] = 0
        weight[new:] = 0
        bias[new:] = _FIRST_LOG_VARIANCE
        vae.post_quant_conv.weight[:, fresh] = 0
        vae.decoder.conv_in.weight[:, old:] = 0


def normalise_latents(vae: Any, mean: Tensor, deviation: Tensor) -> None:
    """Makes every latent channel have mean 0 and deviation 1, by the 1x1 convolutions around it.

    `mean` and `deviation` [C] are those of the latents so far.
    """
    with torch.no_grad():
        inward, outward = vae.quant_conv, vae.post_quant_conv
        channels = len(mean)
        outward.bias += outward.weight[:, :, 0, 0] @ mean
        outward.weight *= deviation.view(1, -1, 1, 1)
        inward.weight[:channels] /= deviation.view(-1, 1, 1, 1)
        inward.bias[:channels] = (inward.bias[:channels] - mean) / deviation
        inward.bias[channels:] -= 2 * deviation.log()


def save_half(module: Any, folder: Path) -> None:
    """In half precision, in files of at most 14 MB."""
    module.half().to(memory_format=torch.contiguous_format)
    module.save_pretrained(folder, max_shard_size="14MB", safe_serialization=True)
