"""Cross-frame attention (Eq. 6) inside a real U-Net."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from engine.settings import TranslationSettings
from engine.translation.attention import use_cross_frame_attention


def unet_of(folder: Path) -> Any:
    network: Any = UNet2DConditionModel
    return network.from_pretrained(folder / "unet").eval()


@pytest.fixture(scope="module")
def unet(tiny_model: Path) -> Any:
    return unet_of(tiny_model)


@torch.inference_mode()
def predicted(unet: Any, *frames: Tensor) -> Tensor:
    """[2, frames, C, h, w] without and with the prompt."""
    x = torch.stack(frames)
    text = torch.randn(2, 7, unet.config.cross_attention_dim, generator=random(9))
    output: Tensor = unet(
        torch.cat([x, x]), 500, encoder_hidden_states=text.repeat_interleave(len(x), 0)
    ).sample
    return torch.stack(output.chunk(2))


def frame(seed: int) -> Tensor:
    return torch.randn(4, 8, 8, generator=random(seed))


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def test_a_frame_painted_against_others_looks_at_them_and_not_at_itself(unet: Any) -> None:
    use_cross_frame_attention(unet, "decoder")
    anchor, previous = frame(1), frame(2)
    alone = predicted(unet, frame(0))[:, 0]
    against_others = predicted(unet, frame(0), anchor, previous)[:, 0]
    assert not close(against_others, alone)
    assert not close(predicted(unet, frame(0), anchor, frame(3))[:, 0], against_others)
    assert not close(predicted(unet, frame(0), frame(3), previous)[:, 0], against_others)


def test_references_depend_on_nothing_but_themselves(unet: Any) -> None:
    use_cross_frame_attention(unet, "decoder")
    together = predicted(unet, frame(0), frame(1), frame(2))
    for place, seed in ((1, 1), (2, 2)):
        assert close(together[:, place], predicted(unet, frame(seed))[:, 0])


def test_a_frame_painted_against_its_equals_is_painted_as_it_is_alone(unet: Any) -> None:
    use_cross_frame_attention(unet, "decoder")
    alone = predicted(unet, frame(0))[:, 0]
    assert close(predicted(unet, frame(0), frame(0))[:, 0], alone)
    assert close(predicted(unet, frame(0), frame(0), frame(0))[:, 0], alone)


def test_switched_off_each_frame_looks_at_itself_as_in_the_model_as_published(
    unet: Any, tiny_model: Path
) -> None:
    use_cross_frame_attention(unet, "off")
    together = predicted(unet, frame(0), frame(1))
    assert close(together, predicted(unet_of(tiny_model), frame(0), frame(1)))
    use_cross_frame_attention(unet, "decoder")
    assert close(predicted(unet, frame(0)), together[:, :1])


def test_the_layers_are_those_of_the_setting(pocket_settings: TranslationSettings) -> None:
    unet = unet_of(Path(pocket_settings.model))

    def layers(setting: str) -> set[str]:
        use_cross_frame_attention(unet, setting)
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
