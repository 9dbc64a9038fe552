"""Style-aware cross-frame attention (4.1.1)."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class CrossFrameAttention:
    """Eq. 6 as the processor of a self-attention layer.

    A batch holds, without and then with the prompt, the key frame that is painted and behind it its
    references; without guidance, the second half alone. The key frame looks for its keys and values
    in the references alone; the references look at themselves, so what they show depends on nothing
    but their own x_t. Alone in its batch, the key frame looks at itself: Eq. 5.
    """

    def __init__(self, halves: int = 2) -> None:
        self._halves = halves

    def __call__(self, attn: Any, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        halves = self._halves
        frames = hidden_states.shape[0] // halves
        query, key, value = (
            project(hidden_states).unflatten(0, (halves, frames)).unflatten(-1, (attn.heads, -1))
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )  # [halves, frames, tokens, heads, channels]
        if frames == 1:
            attended = _attention(query, key, value)
        else:
            seen_key, seen_value = (
                everything[:, 1:].flatten(1, 2).unsqueeze(1) for everything in (key, value)
            )
            attended = query.new_empty(query.shape)
            attended[:, :1] = _attention(query[:, :1], seen_key, seen_value)
            attended[:, 1:] = _attention(query[:, 1:], key[:, 1:], value[:, 1:])
        output: Tensor = attn.to_out[0](attended.flatten(-2).flatten(0, 1))
        return output


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax(Q K^T / sqrt(d)) V, [halves, frames, tokens, heads, channels]."""
    attended = scaled_dot_product_attention(_by_head(query), _by_head(key), _by_head(value))
    return attended.transpose(1, 2).reshape(query.shape)


def _by_head(features: Tensor) -> Tensor:
    """[halves * frames, heads, tokens, channels]: fast attention wants four dimensions."""
    return features.flatten(0, 1).transpose(1, 2)


def use_cross_frame_attention(unet: Any, layers: str, halves: int = 2) -> None:
    """Gives the U-Net cross-frame attention in the layers that the setting names, and plain
    attention in all others.
    """
    chosen = set(_LAYERS[layers](unet))
    unet.set_attn_processor(
        {
            name: CrossFrameAttention(halves) if name in chosen else AttnProcessor2_0()
            for name in unet.attn_processors
        }
    )


def _none(_: Any) -> Iterable[str]:
    return ()


def _everywhere(unet: Any) -> Iterable[str]:
    return (name for name in unet.attn_processors if name.endswith(".attn1.processor"))


def _decoder(unet: Any) -> Iterable[str]:
    return (name for name in _everywhere(unet) if name.startswith("up_blocks."))


def _decoder_without_widest(unet: Any) -> Iterable[str]:
    """Without the coarsest layers, which hold where things are more than how they look."""
    widest = max(unet.config.block_out_channels)
    return (
        name
        for name in _decoder(unet)
        if unet.get_submodule(name.removesuffix(".processor")).inner_dim < widest
    )


_LAYERS: Mapping[str, Any] = MappingProxyType(
    {
        "off": _none,
        "loose": _decoder_without_widest,
        "decoder": _decoder,
        "everywhere": _everywhere,
    }
)
