"""What a person may hand over, and the one sentence that answers it."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest


def refused(result: Any, code: int = 2) -> str:
    """What was said on stderr, which is no traceback and names the way out."""
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    sentence: str = result.stderr.strip().splitlines()[-1]
    assert sentence.endswith((".", ")")) or ":" in sentence
    return sentence


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.mp4", None, "does not exist"),
        ("text.mp4", b"no moving picture\n" * 100, "text.mp4"),
        ("empty.mp4", b"", "is empty"),
        ("cut.mp4", b"\0\0\0\x20ftypisom", "cut.mp4"),
    ],
)
def test_what_is_no_clip_is_refused(
    inbetween: Any, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in refused(inbetween("render", tmp_path / name, "--out", tmp_path / "out.mp4"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keys", "0,7"], "Key frame 7 lies outside the clip: choose a frame from 0 to 4"),
        (["--keys", "0,2,2"], "Key frame 2 is given twice"),
        (["--range", "2-9"], "--range 2-9 lies outside the clip"),
        (["--painter", "crayon"], 'painter is "crayon": choose diffusion or style or painted'),
        (["--prompt", "sunset over Paris"], "sunset over Paris"),
        (["--strength", "1.5"], "strength is 1.5: choose a number from 0 to 1"),
        (["--patch-size", "4"], "patch_size is 4"),
        (["--seed", "3"], "The painter style does not use --seed"),
    ],
)
def test_wrong_options_are_refused_with_what_is_right(
    inbetween: Any, movie: Any, tmp_path: Path, options: list[str], said: str
) -> None:
    result = inbetween("render", movie("clip.mp4"), *options, "--out", tmp_path / "out.mp4")
    assert said in refused(result)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--keys", "9", "--every", "3"],
        ["--keys", "2", "--prompt", "sunset over Paris"],
        ["--strength", "0.2", "--key", "1: strength=7"],
    ],
)
def test_a_refused_command_leaves_the_session_as_it_was(
    inbetween: Any, movie: Any, tmp_path: Path, wrong: list[str]
) -> None:
    clip, out = movie("clip.mp4"), tmp_path / "out.mp4"
    inbetween("render", clip, "--keys", "1", "--out", out)
    refused(inbetween("render", clip, *wrong, "--out", tmp_path / "other.mp4"))
    again = inbetween("render", clip, "--out", out, "--overwrite")
    assert again.exit_code == 0, again.stderr
    assert "key frames: 1\n" in again.stdout


@pytest.mark.parametrize(
    ("painting", "said"),
    [(b"no picture", "mine.png is damaged"), (None, "The painting is 8x6 but the clip is 96x54")],
)
def test_a_refused_painting_leaves_the_session_as_it_was(
    inbetween: Any, movie: Any, tmp_path: Path, painting: bytes | None, said: str
) -> None:
    clip, out, file = movie("clip.mp4"), tmp_path / "out.mp4", tmp_path / "mine.png"
    inbetween("render", clip, "--keys", "1", "--out", out)
    if painting is None:
        cv2.imwrite(str(file), np.zeros((6, 8, 3), np.uint8))
    else:
        file.write_bytes(painting)
    wrong = ("--keys", "2", "--prompt", "frost", "--painting", f"3={file}")
    assert said in refused(inbetween("render", clip, *wrong, "--out", tmp_path / "other.mp4"))
    again = inbetween("render", clip, "--out", out, "--overwrite")
    assert "key frames: 1\n" in again.stdout
    assert "made: 0 paintings" in again.stdout


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("present.mp4", "exists: choose another name, or replace it by --overwrite"),
        ("out.docx", "out.docx"),
        ("no/such/folder/out.mp4", "folder"),
    ],
)
def test_a_result_that_cannot_be_written_is_refused_before_the_work(
    inbetween: Any, movie: Any, tmp_path: Path, out: str, said: str
) -> None:
    (tmp_path / "present.mp4").write_bytes(b"precious")
    result = inbetween("render", movie("clip.mp4"), "--keys", "0", "--out", tmp_path / out)
    assert said in refused(result)
    assert "Painting" not in result.stderr
    assert (tmp_path / "present.mp4").read_bytes() == b"precious"


def test_a_result_never_replaces_its_clip(inbetween: Any, movie: Any) -> None:
    clip = movie("clip.mp4")
    before = clip.read_bytes()
    result = inbetween("render", clip, "--keys", "0", "--out", clip, "--overwrite")
    assert "would replace" in refused(result)
    assert clip.read_bytes() == before


def test_an_incomplete_model_folder_is_told_with_what_is_missing(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model_index.json").write_text("{}")
    result = inbetween(
        "render", movie("clip.mp4"), "--painter", "diffusion", "--model", model, "--controlnet", "",
        "--keys", "0", "--out", tmp_path / "out.mp4",
    )  # fmt: skip
    assert str(model) in refused(result, code=1)


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("odd.mp4", {"size": (213, 119), "pixel_format": "yuv444p"}),
        ("portrait.mp4", {"size": (54, 96)}),
        ("ten-bit.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        ("alpha.mov", {"codec": "qtrle", "pixel_format": "argb"}),
        ("variable.mkv", {"times": [0, 1, 4, 5, 9]}),
    ],
)
def test_unusual_clips_keep_their_size_and_all_their_frames(
    inbetween: Any, movie: Any, tmp_path: Path, name: str, maker: dict[str, Any]
) -> None:
    clip, out = movie(name, **maker), tmp_path / f"out{Path(name).suffix}"
    result = inbetween("render", clip, "--keys", "0,4", "--out", out)
    assert result.exit_code == 0, result.stderr
    with av.open(str(out)) as written:
        stream = written.streams.video[0]
        assert (stream.width, stream.height) == maker.get("size", (96, 54))
        assert len(list(written.decode(video=0))) == 5


@contextmanager
def small_disk(limit_bytes: int) -> Iterator[None]:
    """No file of a process started here grows beyond the limit: what a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing_half(
    inbetween: Any, fresh_home: Path, movie: Any, tmp_path: Path
) -> None:
    clip = movie("clip.mp4", size=(960, 540))
    command = ("render", clip, "--keys", "0", "--range", "0-1", "--out", tmp_path / "out.mp4")
    with small_disk(1 << 20):
        assert "cannot be written" in refused(inbetween(*command), code=1)
    assert not (tmp_path / "out.mp4").exists()
    assert not [path for path in fresh_home.rglob("*.exr") if path.stat().st_size == 1 << 20]


def test_a_second_server_gives_way_to_the_first(inbetween: Any, movie: Any, tmp_path: Path) -> None:
    assert inbetween("sessions", "list").exit_code == 0
    assert "already: inbetween server stop" in refused(inbetween("server", "start"), code=1)
    assert "Another render server" in refused(inbetween("server", "run"), code=1)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())  # Ctrl-C is heard as before
    result = inbetween("render", movie("clip.mp4"), "--keys", "0", "--out", tmp_path / "out.mp4")
    assert result.exit_code == 0
