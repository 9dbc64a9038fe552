"""`inbetween report`, on a made-up clip whose motion is known."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from engine.media.moving_scene import MovingScene
from engine.media.writer import open_writer
from engine.motion.flow import DisFlow
from engine.types import Flow, FrameRange, FrameSize
from server import cli
from server.commands.origin import comment_of

SCENE = MovingScene(FrameSize(96, 64), 8)
FLICKER = 0.1


MOVED = comment_of(Path("nowhere.mov"), FrameRange(2, 6), [3])


def write(path: Path, frames: FrameRange, flicker: float = 0.0, comment: str = "") -> Path:
    """Frames of the scene, every second one brighter."""
    with closing(open_writer(path, SCENE.clip, frames, None, comment=comment)) as writer:
        for index in frames.indices:
            frame = SCENE.read(index)
            pixels = frame.pixels * np.float32(0.5)
            pixels[..., :3] += flicker * (index % 2)
            pixels[..., 3] = 1
            writer.write(replace(frame, pixels=pixels))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`source.mkv` and results as a movie and as pictures."""
    folder = tmp_path_factory.mktemp("a report")
    write(folder / "source.mkv", FrameRange(0, 7))
    write(folder / "result.mkv", FrameRange(0, 7), FLICKER)
    write(folder / "part.mkv", FrameRange(2, 6), FLICKER)
    (folder / "sequence").mkdir()
    write(folder / "sequence" / "%06d.png", FrameRange(2, 6), FLICKER)
    return folder


def report(folder: Path, result: str, *options: str) -> Result:
    source = str(folder / "source.mkv")
    command = ["report", str(folder / result), "--source", source, *options]
    return CliRunner().invoke(cli.app, command)


def told(folder: Path, result: str, *options: str) -> Any:
    path = folder / "told.json"
    answer = report(folder, result, "--json", str(path), *options)
    assert answer.exit_code == 0, answer.stderr
    return json.loads(path.read_text())


def test_flicker_is_told_by_its_square(folder: Path) -> None:
    """Key frames an even distance apart are of one brightness."""
    figures = told(folder, "result.mkv", "--keys", "0,4")["figures"]
    assert figures["pixel_mse"] == pytest.approx(FLICKER**2, rel=0.1)
    assert figures["key_mse"] < 0.1 * FLICKER**2
    assert figures["fram_acc"] is figures["tem_con"] is None


def test_the_figures_of_the_source_stand_beside_those_of_the_result(folder: Path) -> None:
    values = told(folder, "result.mkv", "--keys", "0,4")
    itself = told(folder, "source.mkv", "--keys", "0,4")
    assert values["source_figures"] == itself["figures"] == itself["source_figures"]
    assert values["source_figures"]["pixel_mse"] < 0.1 * FLICKER**2
    lines = report(folder, "result.mkv", "--keys", "0,4").stdout.splitlines()
    assert lines[0].split()[:3] == ["figure", "result", "source"]
    row = next(line.split() for line in lines if line.startswith("Pixel-MSE"))
    wanted = [values[of]["pixel_mse"] for of in ("figures", "source_figures")]
    assert row[1:3] == [f"{value:.5f}" for value in wanted]


def frames_of(values: Any) -> list[int]:
    return [frame["frame"] for frame in values["frames"]]


def keys_of(values: Any) -> list[int]:
    return [frame["frame"] for frame in values["frames"] if frame["is_key"]]


def test_pictures_carry_the_numbers_of_their_frames(folder: Path) -> None:
    values = told(folder, "sequence/%06d.png")
    assert frames_of(values) == [2, 3, 4, 5, 6]
    assert values["figures"]["pixel_mse"] == pytest.approx(FLICKER**2, rel=0.1)
    assert frames_of(told(folder, "sequence/%06d.png", "--range", "3-4")) == [3, 4]


def test_a_movie_of_a_part_needs_to_be_told_which(folder: Path) -> None:
    refused = report(folder, "part.mkv")
    assert refused.exit_code == 2
    assert "say by --range which frames it shows" in refused.stderr
    values = told(folder, "part.mkv", "--range", "2-6", "--keys", "3,5")
    assert frames_of(values) == [2, 3, 4, 5, 6]
    assert keys_of(values) == [3, 5]
    assert values["figures"]["pixel_mse"] == pytest.approx(FLICKER**2, rel=0.1)


def test_key_frames_are_those_that_the_render_wrote_beside_its_frames(folder: Path) -> None:
    beside = folder / "sequence" / "render.json"
    session = {"key_frames": [{}, {"index": 2}, {"index": 5}]}
    beside.write_text(json.dumps({"session": session}))
    try:
        assert keys_of(told(folder, "sequence/%06d.png")) == [2, 5]
        assert keys_of(told(folder, "sequence/%06d.png", "--keys", "3")) == [3]
    finally:
        beside.unlink()
    answer = report(folder, "sequence/%06d.png")
    assert "No key frames are known" in answer.stderr


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_a_movie_tells_itself_what_it_was_made_from(folder: Path, suffix: str) -> None:
    comment = comment_of(folder / "source.mkv", FrameRange(2, 6), [0, 3, 5])
    made = folder / f"made{suffix}"
    write(made, FrameRange(2, 6), FLICKER, comment)
    assert str(folder) not in comment
    json_file = folder / "told.json"
    answer = CliRunner().invoke(cli.app, ["report", str(made), "--json", str(json_file)])
    assert answer.exit_code == 0, answer.stderr
    values = json.loads(json_file.read_text())
    assert frames_of(values) == [2, 3, 4, 5, 6]
    assert keys_of(values) == [3, 5]
    assert values["source"] == str(folder / "source.mkv")
    assert keys_of(told(folder, made.name, "--keys", "4")) == [4]


def test_the_clip_of_a_movie_is_looked_for_beside_it_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a clip of that name in the current folder nor the result itself is taken for it."""
    here, there = tmp_path / "here", tmp_path / "there"
    for each in (here, there):
        each.mkdir()
        write(each / "clip.mkv", FrameRange(0, 7))
    monkeypatch.chdir(here)
    comment = comment_of(Path("clip.mkv"), FrameRange(2, 6), [3])
    made = write(there / "made.mkv", FrameRange(2, 6), FLICKER, comment)
    answer = CliRunner().invoke(cli.app, ["report", str(made)])
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == f"The source is {there / 'clip.mkv'}."
    made = made.rename(there / "clip.mkv")
    answer = CliRunner().invoke(cli.app, ["report", str(made)])
    assert answer.exit_code == 2
    assert "name it by --source" in answer.stderr
    told = CliRunner().invoke(cli.app, ["report", str(made), "--source", "clip.mkv"])
    assert told.stdout.splitlines()[-1] == "The source is clip.mkv."


def test_a_movie_whose_clip_is_not_known_needs_to_be_told_it(folder: Path) -> None:
    for name, comment in (("foreign", "filmed in May"), ("moved", MOVED), ("cut", MOVED[:-5])):
        made = write(folder / f"{name}.mkv", FrameRange(2, 6), FLICKER, comment)
        answer = CliRunner().invoke(cli.app, ["report", str(made)])
        assert answer.exit_code == 2
        assert "name it by --source" in answer.stderr


def test_clip_tells_how_near_the_result_is_to_its_prompt(
    folder: Path, random_clip_model: Path
) -> None:
    clip = ["--clip-model", str(random_clip_model)]
    prompts = ["--prompt", "a painting", "--source-prompt", "a film"]
    there = told(folder, "result.mkv", *clip, *prompts)
    assert there["clip_model"] == str(random_clip_model)
    assert there["figures"]["fram_acc"] is not None
    assert 0 < there["figures"]["tem_con"] < 1
    without = told(folder, "result.mkv", *clip)["figures"]
    assert without["tem_con"] == there["figures"]["tem_con"]
    assert without["fram_acc"] is None


def test_exchanged_prompts_turn_the_figure_round(folder: Path, random_clip_model: Path) -> None:
    clip = ["--clip-model", str(random_clip_model)]
    there, back = (
        told(folder, "result.mkv", *clip, "--prompt", one, "--source-prompt", other)
        for one, other in (("a cat", "zzzz"), ("zzzz", "a cat"))
    )
    assert there["figures"]["fram_acc"] + back["figures"]["fram_acc"] == pytest.approx(1)


def test_without_clip_the_other_figures_are_told_and_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    answer = report(folder, "result.mkv")
    assert answer.exit_code == 0
    assert "Fram-Acc and Tem-Con are left out" in answer.stderr
    assert "--clip-model openai/clip-vit-large-patch14" in answer.stderr
    assert "Pixel-MSE" in answer.stdout
    refused = report(folder, "result.mkv", "--clip-model", str(tmp_path))
    assert refused.exit_code == 1
    assert "lacks config.json" in refused.stderr


def test_the_plot_has_a_panel_for_each_figure(folder: Path) -> None:
    def height(*options: str) -> int:
        path = folder / "figures.png"
        assert report(folder, "result.mkv", "--plot", str(path), *options).exit_code == 0
        with Image.open(path) as picture:
            return picture.height

    assert height("--keys", "0,4") == 2 * height()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--prompt", "a painting"], "give both --prompt and --source-prompt"),
        (["--plot", "figures.svg"], "name a .png file"),
        (["--json", "shot.mov"], "name a .json file"),
        (["--keys", "0,99"], "Key frame 99 lies outside"),
        (["--range", "5-9"], "are not all in"),
    ],
)
def test_wrong_input_is_refused_by_a_sentence(
    folder: Path, options: Sequence[str], sentence: str
) -> None:
    answer = report(folder, "result.mkv", *options)
    assert answer.exit_code == 2
    assert sentence in answer.stderr


def test_another_clip_is_refused_by_its_size(folder: Path, tiny_clip: Path) -> None:
    command = ["report", str(folder / "result.mkv"), "--source", str(tiny_clip)]
    answer = CliRunner().invoke(cli.app, command)
    assert answer.exit_code == 2


def test_ctrl_c_ends_it_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = iter([None] * 5)

    def estimate(*pictures: Any) -> Flow:
        if next(calls, "over") == "over":
            raise KeyboardInterrupt
        return original(*pictures)

    original = DisFlow.estimate
    monkeypatch.setattr(DisFlow, "estimate", estimate)
    answer = report(folder, "result.mkv", "--json", str(tmp_path / "told.json"))
    assert answer.exit_code == 130
    assert answer.stderr.endswith("Stopped after 3 of 8 frames.\n")
    assert not (tmp_path / "told.json").exists()
