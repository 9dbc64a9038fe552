"""Style-aware cross-frame attention (4.1.1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


@dataclass
class Exchange:
    """Carries keys and values between frames, from one call of the U-Net to another.

    A call shows its own, under plain self-attention, so that what is seen of a frame depends on
    nothing but its x_t; or it looks at those that were seen of others. They go by one name,
    features: the keys and values of all layers with cross-frame attention, in the order in which
    the layers act, as one flat tensor a frame.
    """

    _seen: Sequence[Tensor] = ()
    _shows: bool = False
    _shown: list[Tensor] = field(default_factory=list)
    _read: int = 0

    def begin(self, seen: Sequence[Tensor], *, shows: bool) -> None:
        """Before a call: the features [F] of each frame it looks at; whether it shows its own."""
        self._seen, self._shows, self._shown, self._read = seen, shows, [], 0

    def features(self, frames: int) -> Tensor:
        """After a call that shows its own: [frames, F]. Its batch held all frames without the
        prompt, then all with it, or all with it alone.
        """
        parts = [each.unflatten(0, (-1, frames)).transpose(0, 1).flatten(1) for each in self._shown]
        return torch.cat(parts, 1) if parts else torch.empty(frames, 0)

    def instead_of(self, own: Tensor) -> Tensor:
        """What a layer looks at: its own keys or values [B, tokens, C], or those of the frames that
        are seen, one behind the other.
        """
        if self._shows:
            self._shown.append(own)
        if not self._seen:
            return own
        part = slice(self._read, self._read + own.numel())
        self._read = part.stop
        return torch.cat([features[part].view_as(own) for features in self._seen], 1)


class Attention:
    """Eq. 5 as the processor of a layer that looks at its own frame, or at the words."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        looked_at = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return attended(attn, attn.to_q(hidden_states), attn.to_k(looked_at), attn.to_v(looked_at))


class CrossFrameAttention:
    """Eq. 6 as the processor of a self-attention layer; where no frame is seen, Eq. 5."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __call__(self, attn: Any, hidden_states: Tensor, **_: object) -> Tensor:
        key = self._exchange.instead_of(attn.to_k(hidden_states))
        value = self._exchange.instead_of(attn.to_v(hidden_states))
        return attended(attn, attn.to_q(hidden_states), key, value)


def attended(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What a layer makes of its queries, keys and values, each [B, tokens, C]."""
    seen = scaled_dot_product_attention(
        *(each.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for each in (query, key, value))
    )
    output: Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(-2))
    return output


def use_cross_frame_attention(unet: Any, layers: str, exchange: Exchange) -> None:
    """Gives the U-Net cross-frame attention in the layers that the setting names, and plain
    attention in all others.
    """
    chosen = set(_LAYERS[layers](unet))
    unet.set_attn_processor(
        {
            name: CrossFrameAttention(exchange) if name in chosen else Attention()
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
