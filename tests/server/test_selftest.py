"""`inbetween selftest`, at tiny size."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from typer.testing import CliRunner, Result

from engine.translation import diffusion
from engine.types import FloatArray
from server import cli
from server.commands import selftest

QUICK = ["--size", "96x96", "--steps", "5", "--strength", "1", "--quality", "draft"]


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli.app, ["selftest", "--folder", str(folder), *QUICK, *options])


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command sets there is undone."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory, random_clip_model: Path) -> Path:
    """A Stable Diffusion 1.5 in small, with random weights."""
    folder = tmp_path_factory.mktemp("random models") / "base"
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(random_clip_model, model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    pipeline: Any = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=8,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
            norm_num_groups=8,
        ),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a selftest")


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return run(folder)


def test_the_built_in_model_passes(result: Result) -> None:
    assert result.exit_code == 0, result.stdout
    verdicts = [line.split()[:2] for line in result.stdout.splitlines()]
    parts = ["speed:", "key", "again:", "in", "agreement:", "calm:"]
    assert [part for verdict, part in verdicts[:6] if verdict == "ok"] == parts
    assert "key frame 16 painted again alone is the same, bit for bit" in result.stdout


def test_figures_and_pictures_are_written(result: Result, folder: Path) -> None:
    told = json.loads((folder / "selftest.json").read_text())
    figures = told["figures"]
    assert figures["all constraints"]["key_mse"] < figures["independent"]["key_mse"]
    assert told["settings"]["translation"]["steps"] == 5
    for name in ("source", "all_constraints", "independent"):
        assert len(list((folder / name).glob("*.png"))) == 25
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.height > 3 * 96


def test_a_model_of_ones_own_is_tried_with_its_own_settings(
    tmp_path: Path, random_model: Path
) -> None:
    """Random weights paint noise: what they cannot do is said line by line."""
    answer = run(tmp_path, "--model", str(random_model), "--controlnet", "", "--prompt", "a cat")
    assert answer.exit_code in (0, 1), answer.stderr
    lines = answer.stdout.splitlines()
    assert (answer.exit_code == 1) == any(line.startswith("fail") for line in lines)
    assert any(line.startswith("ok    again:") for line in lines)
    told: Any = json.loads((tmp_path / "selftest.json").read_text())
    assert told["settings"]["translation"]["model"] == str(random_model)


def test_a_painter_that_does_not_repeat_itself_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = diffusion.DiffusionPainter.paint
    random = np.random.default_rng(0)

    def restless(*arguments: Any) -> FloatArray:
        painted = paint(*arguments)
        return np.asarray(painted + random.normal(0, 0.01, painted.shape), np.float32)

    monkeypatch.setattr(diffusion.DiffusionPainter, "paint", restless)
    answer = run(tmp_path)
    assert answer.exit_code == 1
    assert "fail  again: key frame 16 painted again alone differs by" in answer.stdout


def test_key_frames_that_do_not_agree_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constraints = ["--cross-frame-attention", "off", "--no-shape-fusion", "--no-pixel-fusion"]
    answer = run(tmp_path, *constraints, "--no-adain")
    assert answer.exit_code == 1
    assert "fail  agreement: Key-MSE is 1.00" in answer.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--size", "large"], "give width and height"),
        (["--device", "abacus"], "choose auto, cpu, cuda"),
        (["--device", "cuda"], "there is no such card"),
        (["--clip", "no.mp4"], "leave out --size or --clip"),
    ],
)
def test_wrong_input_is_refused_by_a_sentence(
    tmp_path: Path, options: list[str], sentence: str
) -> None:
    answer = run(tmp_path, *options)
    assert answer.exit_code == 2
    assert sentence in answer.stderr


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "source" / "mine.png"
    mine.parent.mkdir()
    mine.touch()
    for folder, sentence in ((tmp_path, "where other things lie"), (mine, "which is a file")):
        answer = run(folder)
        assert answer.exit_code == 2
        assert sentence in answer.stderr
    assert mine.exists()


def test_only_diffusion_models_are_tried(tmp_path: Path) -> None:
    command = ["selftest", "--folder", str(tmp_path), "--painter", "style", "--prompt", "mosaic"]
    answer = CliRunner().invoke(cli.app, command)
    assert answer.exit_code == 2
    assert "selftest is for diffusion models" in answer.stderr


def test_ctrl_c_ends_it_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(selftest.Watcher, "progress", interrupted)
    answer = run(tmp_path)
    assert answer.exit_code == 130
    assert answer.stderr.endswith("Stopped: nothing was written.\n")
    assert not list(tmp_path.iterdir())
