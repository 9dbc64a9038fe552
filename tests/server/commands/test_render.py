"""`inbetween render`, from a clip on disk to a movie on disk, through the real server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from inbetween.v1.session_pb2 import KeyFrame
from numpy.typing import NDArray

from server.client import connect
from server.launcher import server_process_id
from tests.patience import PATIENCE_SECONDS


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as movie:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in movie.decode(video=0)
        ]


def made(stdout: str) -> dict[str, int]:
    line = next(line for line in stdout.splitlines() if line.strip().startswith("made:"))
    counts = re.findall(r"(\d+) (\w+?)s?\b", line)
    return {f"{name}s": int(count) for count, name in counts}


def keys_of(clip: Path) -> dict[int, KeyFrame]:
    """The key frames of the clip's session."""
    with connect(start=False) as client:
        return {key.index: key for key in client.open_session(clip).key_frames}


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def test_the_result_has_the_size_rate_frames_and_sound_of_its_range(
    inbetween: Any, small_clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    result = inbetween("render", small_clip, "--range", "5-9", "--keys", "5,9", "--out", out)
    assert result.exit_code == 0, result.stderr
    with av.open(str(out)) as movie:
        video, sound = movie.streams.video[0], movie.streams.audio[0]
        assert (video.width, video.height) == (320, 180)
        assert video.average_rate == Fraction(25)
        seconds = sum(frame.samples / frame.sample_rate for frame in movie.decode(sound))
    assert seconds == pytest.approx(5 / 25, abs=0.05)
    results, sources = pictures(out), pictures(small_clip)[5:10]
    assert len(results) == 5
    assert all(difference(*pair) > 10 for pair in zip(results, sources, strict=True))


def test_report_knows_what_was_rendered(inbetween: Any, two_shots: Path, tmp_path: Path) -> None:
    """Key frames placed evenly, which only the server knows, and a clip beside the result."""
    out, figures = tmp_path / "out.mp4", tmp_path / "figures.json"
    result = inbetween("render", two_shots, "--range", "17-23", "--every", 4, "--out", out)
    assert result.exit_code == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if "  key frames: " in line)
    told = inbetween("report", out, "--json", figures)
    assert told.exit_code == 0, told.stderr
    frames = json.loads(figures.read_text())["frames"]
    assert [frame["frame"] for frame in frames] == list(range(17, 24))
    keys = [str(frame["frame"]) for frame in frames if frame["is_key"]]
    assert line == f"  key frames: {', '.join(keys)}"
    assert len(keys) > 1


def test_one_of_a_thing_is_no_plural(inbetween: Any, movie: Any, tmp_path: Path) -> None:
    result = inbetween("render", movie("clip.mp4"), "--keys", "0", "--out", tmp_path / "out.mp4")
    assert "made: 1 painting, 4 propagations, 0 blends" in result.stdout


def test_the_same_command_again_makes_nothing_new(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip, out = movie("clip.mp4"), tmp_path / "out.mp4"
    command = ("render", clip, "--keys", "0,4", "--prompt", "mosaic", "--out", out)
    first = inbetween(*command)
    assert made(first.stdout) == {"paintings": 2, "propagations": 6, "blends": 3}
    again = inbetween(*command, "--overwrite")
    assert made(again.stdout) == {"paintings": 0, "propagations": 0, "blends": 0}


def test_what_is_not_given_is_what_the_session_has(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip = movie("clip.mp4")
    inbetween("render", clip, "--keys", "1,3", "--out", tmp_path / "first.mp4")
    second = inbetween("render", clip, "--out", tmp_path / "second.mp4")
    assert "key frames: 1, 3" in second.stdout
    assert made(second.stdout)["paintings"] == 0
    third = inbetween("render", clip, "--every", 2, "--out", tmp_path / "third.mp4")
    assert "key frames: 0, 1, 2, 3, 4" in third.stdout
    fourth = inbetween("render", clip, "--keys", "2", "--out", tmp_path / "fourth.mp4")
    assert "key frames: 2\n" in fourth.stdout


def test_frames_of_a_shot_without_key_frames_stay_source_and_it_says_so(
    inbetween: Any, two_shots: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    result = inbetween("render", two_shots, "--keys", "2", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "20 frames of shots without a key frame" in result.stdout
    results, sources = pictures(out), pictures(two_shots)
    assert min(difference(*pair) for pair in zip(results[:20], sources, strict=False)) > 10
    assert max(difference(*pair) for pair in zip(results[20:], sources[20:], strict=True)) < 5


def test_a_painting_of_ones_own_becomes_the_key_frame(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip, painting = movie("clip.mp4"), tmp_path / "frame2.png"
    cv2.imwrite(str(painting), np.full((54, 96, 3), (0, 0, 255), np.uint8))
    result = inbetween(
        "render", clip, "--painter", "painted", "--keys", 2, "--painting", f"2={painting}",
        "--out", tmp_path / "out.mkv",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert made(result.stdout)["paintings"] == 0
    for frame in pictures(tmp_path / "out.mkv"):
        assert difference(frame, np.full_like(frame, (255, 0, 0))) < 12


def test_an_exr_sequence_can_be_the_result(inbetween: Any, movie: Any, tmp_path: Path) -> None:
    pattern = tmp_path / "frames.%04d.exr"
    result = inbetween("render", movie("clip.mp4"), "--keys", "0", "--out", pattern)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.glob("*.exr")) == [
        f"frames.{index:04}.exr" for index in range(5)
    ]


@pytest.fixture
def long_render(movie: Any, tmp_path: Path) -> list[str]:
    """A command that takes some seconds."""
    clip = movie("long.mp4", size=(480, 272), count=13)
    command = [sys.executable, "-m", "server.cli", "render", str(clip), "--keys", "0,6,12"]
    quick = ["--painter", "style", "--prompt", "mosaic"]
    return [*command, *quick, "--out", str(tmp_path / "long-out.mp4")]


def interrupted(
    command: list[str], home: Path, interrupt: Callable[[int], None]
) -> tuple[int, str]:
    """Exit code and stderr of a command that meets something once a frame is propagated."""
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stderr is not None
        # Until then an earlier, cancelled job may still finish its last picture.
        heard = list(takewhile(lambda line: not line.startswith("Propagating"), process.stderr))
        before = finished_work(home)
        while finished_work(home) <= before and process.poll() is None:
            time.sleep(0.01)
        interrupt(process.pid)
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    told = "".join(heard) + told
    return process.returncode, told


def hear_ctrl_c() -> None:
    """As on a terminal: a shell has its background jobs ignore SIGINT, and they hand that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished_work(home: Path) -> int:
    return len(list(home.glob("home/sessions/*/work/*.exr")))


def finish(inbetween: Any, command: list[str]) -> None:
    """The same command goes on: nothing that was painted is painted again."""
    out = Path(command[-1])
    assert not out.exists()
    assert not [path for path in out.parent.iterdir() if path.stem.startswith(".")]
    result = inbetween(*command[3:])
    assert result.exit_code == 0, result.stderr
    counts = made(result.stdout)
    assert counts["paintings"] == 0
    assert counts["propagations"] < 20
    assert len(pictures(out)) == 13


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    inbetween: Any, home: Path, long_render: list[str]
) -> None:
    code, told = interrupted(long_render, home, lambda pid: os.kill(pid, signal.SIGINT))
    assert code == 130
    assert "The same command goes on from there" in told
    assert "Traceback" not in told
    finish(inbetween, long_render)


def kill_server() -> None:
    pid = server_process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_server_killed_in_the_middle_costs_only_the_frame_in_work(
    inbetween: Any, home: Path, long_render: list[str]
) -> None:
    code, told = interrupted(long_render, home, lambda _: kill_server())
    assert code == 1
    assert "The render server went away" in told
    assert "Traceback" not in told
    finish(inbetween, long_render)


def test_one_key_frame_with_a_prompt_of_its_own_is_painted_anew_alone(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip = movie("clip.mp4")
    command = ("render", clip, "--keys", "0,4", "--overwrite", "--out", tmp_path / "out.mp4")
    assert inbetween(*command).exit_code == 0
    own = inbetween(*command, "--key", "4: prompt=frost, strength=0.5")
    assert own.exit_code == 0, own.stderr
    assert made(own.stdout)["paintings"] == 1
    assert (keys_of(clip)[4].prompt, keys_of(clip)[4].strength) == ("frost", 0.5)
    assert not keys_of(clip)[0].HasField("prompt")

    again = inbetween(*command, "--key", "4: prompt=frost")
    assert made(again.stdout)["paintings"] == 0
    back = inbetween(*command, "--key", "4: prompt=, strength=")
    assert made(back.stdout)["paintings"] == 0
    assert not keys_of(clip)[4].HasField("strength")


def test_an_option_for_one_key_frame_places_it_where_there_is_none(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip = movie("clip.mp4")
    command = ("render", clip, "--keys", "0", "--key", "3: prompt=frost")
    result = inbetween(*command, "--out", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.stderr
    assert list(keys_of(clip)) == [0, 3]


def test_a_value_of_a_key_frame_that_the_painter_does_not_use_is_refused(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    clip, out = movie("clip.mp4"), tmp_path / "out.mp4"
    result = inbetween("render", clip, "--keys", "0,3", "--key", "3: seed=3", "--out", out)
    assert result.exit_code == 2
    assert "The painter style does not use --key with seed" in result.stderr
    refused = inbetween("render", clip, "--keys", "0,3", "--key", "3: strength=2", "--out", out)
    assert "--key sets strength to '2': choose a number from 0 to 1" in refused.stderr
    assert not out.exists()
