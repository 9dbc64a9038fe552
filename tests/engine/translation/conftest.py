"""A Stable Diffusion 1.5 in small, with random weights, written to a folder as a real one."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

import engine.translation
from engine.motion.flow import DisFlow
from engine.motion.occlusion import occlusion_mask
from engine.report import Report
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.painter import PaintRequest, Reference, Trajectory
from engine.types import FloatArray


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Shot:
    """Key frames of a shot, painted one after the other as a render does it."""

    painter: DiffusionPainter
    report: Report
    sources: list[FloatArray] = field(default_factory=list)
    takes: list[FloatArray] = field(default_factory=list)
    trajectories: list[Trajectory | None] = field(default_factory=list)

    def paint(
        self,
        source: FloatArray,
        settings: TranslationSettings,
        references: tuple[Reference, ...] | None = None,
    ) -> FloatArray:
        """Paints the next key frame, against the first and the last one if not told otherwise."""
        kept: list[Trajectory | None] = [None]
        if references is None:
            references = self.references(source)
        request = PaintRequest(len(self.takes), source, settings, references, keep=kept.append)
        take = self.painter.paint(request, self.report)
        self.add(source, take, kept[-1])
        return take

    def add(self, source: FloatArray, take: FloatArray, kept: Trajectory | None = None) -> None:
        """A take that is there already."""
        self.sources.append(source)
        self.takes.append(take)
        self.trajectories.append(kept)

    def references(self, source: FloatArray) -> tuple[Reference, ...]:
        """What a key frame with that source is painted against."""
        last = len(self.takes) - 1
        return tuple(self._reference(source, index) for index in sorted({0, last}) if last >= 0)

    def _reference(self, source: FloatArray, index: int) -> Reference:
        there = self.sources[index]
        flow = DisFlow().estimate(source, there)
        occlusion = occlusion_mask(flow, DisFlow().estimate(there, source))
        return Reference(self.takes[index], there, flow, occlusion, self.trajectories[index])


@pytest.fixture(scope="session")
def painter() -> DiffusionPainter:
    return DiffusionPainter()


PaintShot = Callable[[Sequence[FloatArray], TranslationSettings], list[FloatArray]]


@pytest.fixture
def shot(painter: DiffusionPainter, report: Report) -> Shot:
    return Shot(painter, report)


@pytest.fixture
def paint_shot(painter: DiffusionPainter, report: Report) -> PaintShot:
    """Paints key frames of one shot, each against the first and the one before it."""

    def paint_shot(
        sources: Sequence[FloatArray], settings: TranslationSettings
    ) -> list[FloatArray]:
        shot = Shot(painter, report)
        return [shot.paint(source, settings) for source in sources]

    return paint_shot


@pytest.fixture(scope="session")
def pocket_settings() -> TranslationSettings:
    """Of the small model that comes with Inbetween, which really paints."""
    folder = Path(next(iter(engine.translation.__path__))) / "pocket_model"
    return TranslationSettings(
        painter="diffusion",
        prompt="watercolour",
        strength=0.75,
        steps=8,
        guidance_scale=1.0,
        model=str(folder),
        controlnet=str(folder / "controlnet"),
    )


@pytest.fixture
def tiny_settings(tiny_model: Path, tiny_controlnet: Path) -> TranslationSettings:
    return TranslationSettings(
        painter="diffusion",
        prompt="a cat",
        steps=6,
        strength=1.0,
        guidance_scale=7.5,
        seed=3,
        model=str(tiny_model),
        controlnet=str(tiny_controlnet),
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in diffusers layout, with a blank in its path."""
    folder = tmp_path_factory.mktemp("tiny models") / "base"
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=8,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )
    tokenizer = make_tokenizer(folder.parent / "words")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_controlnet(tiny_model: Path) -> Path:
    folder = tiny_model.parent / "controlnet"
    torch.manual_seed(1)
    controlnet = ControlNetModel.from_unet(
        UNet2DConditionModel.from_pretrained(tiny_model, subfolder="unet")
    )
    for parameter in controlnet.parameters():  # its output layers begin at zero: no effect
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    controlnet.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def other_controlnet(tiny_controlnet: Path) -> Path:
    """One with other weights."""
    target = tiny_controlnet.parent / "other controlnet"
    return _with_other_weights(ControlNetModel, tiny_controlnet, target)


@pytest.fixture(scope="session")
def other_vae(tiny_model: Path) -> Path:
    """One with other weights in its decoder, for the latents of the tiny model."""
    return _with_other_weights(AutoencoderKL, tiny_model / "vae", tiny_model.parent / "other vae")


@pytest.fixture(scope="session")
def depth_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth model")
    torch.manual_seed(0)
    config_of: Any = Dinov2Config
    backbone = config_of(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=518,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 518, "width": 518}, keep_aspect_ratio=True, ensure_multiple_of=14
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def person_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It sees people everywhere."""
    folder = tmp_path_factory.mktemp("person detector")
    torch.manual_seed(0)
    config_of: Any = YolosConfig
    config = config_of(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 64],
        num_detection_tokens=3,
        id2label={0: "dog", 1: "Person"},
        label2id={"dog": 0, "Person": 1},
    )
    network: Any = YolosForObjectDetection(config)
    with torch.no_grad():
        network.class_labels_classifier.layers[-1].bias.copy_(torch.tensor([0, 5, 0]))
    network.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 128}
    YolosImageProcessorPil(size=size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pose_model(tmp_path_factory.mktemp("pose model"), experts=1)


def write_pose_model(folder: Path, experts: int) -> Path:
    """It is sure of all joints."""
    torch.manual_seed(0)
    config_of, backbone_of = cast("Any", VitPoseConfig), cast("Any", VitPoseBackboneConfig)
    backbone = backbone_of(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[64, 48],
        out_indices=[2],
        num_experts=experts,
        part_features=8 * (experts - 1),
    )
    network: Any = VitPoseForPoseEstimation(config_of(backbone_config=backbone, num_labels=17))
    with torch.no_grad():
        network.head.conv.bias.fill_(1.0)
    network.save_pretrained(folder)
    return folder


def _with_other_weights(network: Any, folder: Path, target: Path) -> Path:
    model = network.from_pretrained(folder)
    torch.manual_seed(2)
    for layer, parameter in model.named_parameters():
        if not layer.startswith("encoder."):
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(target)
    return target


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """Knows single letters only."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )


@pytest.fixture(scope="session")
def tiny_single_file(tiny_model: Path) -> Path:
    """The tiny model as one file, under the names of the original Stable Diffusion code."""
    parts = {
        part: load_file(next((tiny_model / part).glob("*.safetensors")))
        for part in ("unet", "vae", "text_encoder")
    }
    tensors = {
        **{f"model.diffusion_model.{_unet_name(k)}": v for k, v in parts["unet"].items()},
        **{f"first_stage_model.{_vae_name(k)}": _as_conv(k, v) for k, v in parts["vae"].items()},
        **{
            f"cond_stage_model.transformer.text_model.{k.removeprefix('text_model.')}": v
            for k, v in parts["text_encoder"].items()
        },
    }
    path = tiny_model.parent / "single.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _unet_name(name: str) -> str:
    """For two blocks of one layer, the first of them with attention."""
    return _renamed(
        name,
        (r"time_embedding\.linear_1", "time_embed.0"),
        (r"time_embedding\.linear_2", "time_embed.2"),
        (r"^conv_in", "input_blocks.0.0"),
        (r"down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
        (r"down_blocks\.0\.attentions\.0", "input_blocks.1.1"),
        (r"down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
        (r"down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
        (r"mid_block\.resnets\.0", "middle_block.0"),
        (r"mid_block\.attentions\.0", "middle_block.1"),
        (r"mid_block\.resnets\.1", "middle_block.2"),
        (r"up_blocks\.0\.resnets\.(\d)", r"output_blocks.\1.0"),
        (r"up_blocks\.0\.upsamplers\.0", "output_blocks.1.1"),
        (r"up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
        (r"up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
        (r"up_blocks\.1\.attentions\.0", "output_blocks.2.1"),
        (r"up_blocks\.1\.attentions\.1", "output_blocks.3.1"),
        (r"conv_norm_out", "out.0"),
        (r"^conv_out", "out.2"),
        (r"(blocks\.\d\.0|middle_block\.[02])\.norm1", r"\1.in_layers.0"),
        (r"(blocks\.\d\.0|middle_block\.[02])\.conv1", r"\1.in_layers.2"),
        (r"(blocks\.\d\.0|middle_block\.[02])\.norm2", r"\1.out_layers.0"),
        (r"(blocks\.\d\.0|middle_block\.[02])\.conv2", r"\1.out_layers.3"),
        (r"time_emb_proj", "emb_layers.1"),
        (r"conv_shortcut", "skip_connection"),
    )


def _vae_name(name: str) -> str:
    """For four blocks of one layer."""
    name = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{3 - int(match[1])}", name)
    return _renamed(
        name,
        (r"down_blocks", "down"),
        (r"mid_block\.resnets\.0", "mid.block_1"),
        (r"mid_block\.resnets\.1", "mid.block_2"),
        (r"mid_block\.attentions\.0", "mid.attn_1"),
        (r"resnets", "block"),
        (r"(down|up)samplers\.0", r"\1sample"),
        (r"conv_norm_out", "norm_out"),
        (r"conv_shortcut", "nin_shortcut"),
        (r"group_norm", "norm"),
        (r"to_([qkv])\.", r"\1."),
        (r"to_out\.0", "proj_out"),
    )


def _renamed(name: str, *rules: tuple[str, str]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _as_conv(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The original code has 1x1 convolutions in the attention of its autoencoder."""
    is_matrix = re.search(r"attentions.*to_.*weight", name) is not None
    return tensor[..., None, None] if is_matrix else tensor
