"""Cross-frame attention (Eq. 6) inside a real U-Net."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from engine.settings import TranslationSettings
from engine.translation.stable_diffusion.attention import (
    CrossFrameAttention,
    Exchange,
    use_cross_frame_attention,
)


def unet_of(folder: Path) -> Any:
    network: Any = UNet2DConditionModel
    return network.from_pretrained(folder / "unet").eval()


@pytest.fixture(scope="module")
def unet(tiny_model: Path) -> Any:
    return unet_of(tiny_model)


class Network:
    """A U-Net whose frames can look at each other."""

    def __init__(self, unet: Any, layers: str) -> None:
        self.unet = unet
        self.exchange = Exchange()
        use_cross_frame_attention(unet, layers, self.exchange)

    def predicted(self, frame: Tensor, *others: Tensor) -> Tensor:
        """[2, C, h, w] without and with the prompt, of a frame that looks at others."""
        seen = [features for other in others for features in self.shown(other)[1]]
        self.exchange.begin(seen, shows=False)
        return self._called(frame[None])

    def shown(self, *frames: Tensor) -> tuple[Tensor, Tensor]:
        """What is predicted of frames that show themselves, and what they show [frames, F]."""
        self.exchange.begin((), shows=True)
        predicted = self._called(torch.stack(frames))
        return predicted, self.exchange.features(len(frames))

    @torch.inference_mode()
    def _called(self, frames: Tensor) -> Tensor:
        text = torch.randn(2, 7, self.unet.config.cross_attention_dim, generator=random(9))
        batch = frames.repeat(2, 1, 1, 1), 500, text.repeat_interleave(len(frames), 0)
        output: Tensor = self.unet(*batch).sample
        return output


def frame(seed: int) -> Tensor:
    return torch.randn(4, 8, 8, generator=random(seed))


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def test_a_frame_painted_against_others_looks_at_them_and_not_at_itself(unet: Any) -> None:
    network = Network(unet, "decoder")
    anchor, previous = frame(1), frame(2)
    alone = network.predicted(frame(0))
    against_others = network.predicted(frame(0), anchor, previous)
    assert not close(against_others, alone)
    assert not close(network.predicted(frame(0), anchor, frame(3)), against_others)
    assert not close(network.predicted(frame(0), frame(3), previous), against_others)


@torch.inference_mode()
def test_keys_and_values_come_from_the_references_alone() -> None:
    """Eq. 6, written out for one layer with one head."""
    torch.manual_seed(0)
    exchange, self_attention = Exchange(), cast("Any", Attention)
    layer = self_attention(
        query_dim=16, heads=1, dim_head=16, processor=CrossFrameAttention(exchange)
    )
    tokens = torch.randn(2, 3, 5, 16, generator=random(0))
    references = tokens[:, 1:]
    exchange.begin([], shows=True)
    layer(references.flatten(0, 1))
    exchange.begin(list(exchange.features(2)), shows=False)
    attended = layer(tokens[:, 0])
    query, key, value = (
        layer.to_q(tokens[:, 0]),
        layer.to_k(references.flatten(1, 2)),
        layer.to_v(references.flatten(1, 2)),
    )
    weights = (query @ key.transpose(-1, -2) / 4).softmax(-1)
    assert close(attended, layer.to_out[0](weights @ value))


def test_what_a_frame_shows_depends_on_nothing_but_itself(unet: Any) -> None:
    network = Network(unet, "decoder")
    predicted, shown = network.shown(frame(1), frame(2))
    for place, seed in ((0, 1), (1, 2)):
        own, (features,) = network.shown(frame(seed))
        assert close(shown[place], features)
        assert close(predicted.unflatten(0, (2, 2))[:, place], own)
        assert close(network.predicted(frame(seed)), own)


def test_a_frame_painted_against_its_equals_is_painted_as_it_is_alone(unet: Any) -> None:
    network = Network(unet, "decoder")
    alone = network.predicted(frame(0))
    assert close(network.predicted(frame(0), frame(0)), alone)
    assert close(network.predicted(frame(0), frame(0), frame(0)), alone)


def test_switched_off_a_frame_looks_at_itself_as_in_the_model_as_published(
    unet: Any, tiny_model: Path
) -> None:
    alone = Network(unet, "off").predicted(frame(0), frame(1))
    published = Network(unet_of(tiny_model), "off")
    published.unet.set_attn_processor(AttnProcessor2_0())
    assert close(alone, published.predicted(frame(0)))
    assert close(Network(unet, "decoder").predicted(frame(0)), alone)


def test_the_layers_are_those_of_the_setting(pocket_settings: TranslationSettings) -> None:
    unet = unet_of(Path(pocket_settings.model))

    def layers(setting: str) -> set[str]:
        use_cross_frame_attention(unet, setting, Exchange())
        return {
            name.split(".attentions")[0]
            for name, processor in unet.attn_processors.items()
            if type(processor).__name__ == "CrossFrameAttention"
        }

    assert layers("off") == set()
    assert layers("loose") == {"up_blocks.1"}
    assert layers("decoder") == {"up_blocks.0", "up_blocks.1"}
    assert layers("everywhere") == layers("decoder") | {
        "down_blocks.1",
        "down_blocks.2",
        "mid_block",
    }
