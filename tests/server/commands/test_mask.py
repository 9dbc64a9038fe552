"""`inbetween render --mask`: what the mask leaves out is the source, to the bit."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.media.exr import load_exr, write_exr
from engine.types import FloatArray, Precision
from tests.server.commands.conftest import picture
from tests.server.commands.test_bad_input import refused
from tests.server.commands.test_render import made

WIDTH, HEIGHT = 96, 54
BLACK, RAMP, WHITE = np.s_[:, :32], np.s_[:, 32:64], np.s_[:, 64:]


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """One picture for all frames: a third black, a third a ramp, a third white."""
    ramp = np.linspace(-1, 2, WIDTH).clip(0, 1)
    ramp[:32], ramp[64:] = 0, 1
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.rint(np.tile(ramp, (HEIGHT, 1)) * 65535).astype(np.uint16))
    return path


def still(dtype: Any, channels: int) -> Any:
    """A source in the order of channels of OpenCV, with the upper rows transparent."""
    rgba = picture((WIDTH, HEIGHT), 0).astype(np.float64) / 255
    rgba[:10, :, 3] = 0
    values = rgba[..., [2, 1, 0, 3]][..., :channels]
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def read(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rendered(inbetween: Any, *arguments: object) -> Any:
    result = inbetween("render", *arguments, "--overwrite")
    assert result.exit_code == 0, result.stderr
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_integer_source_stays_where_the_mask_is_black(
    inbetween: Any, mask: Path, tmp_path: Path, dtype: Any, channels: int
) -> None:
    source, clip = still(dtype, channels), tmp_path / "source.png"
    cv2.imwrite(str(clip), source)
    rendered(inbetween, clip, "--keys", 0, "--out", tmp_path / "whole.#.png")
    again = rendered(inbetween, clip, "--mask", mask, "--out", tmp_path / "masked.#.png")
    assert made(again.stdout) == {"paintings": 0, "propagations": 0, "blends": 0}
    whole, masked = read(tmp_path / "whole.0.png"), read(tmp_path / "masked.0.png")
    assert masked.dtype == dtype
    assert masked[BLACK].tobytes() == source[BLACK].tobytes()
    assert masked[WHITE].tobytes() == whole[WHITE].tobytes()
    if channels == 4:
        assert whole[..., 3].tobytes() == source[..., 3].tobytes()
        assert whole[:10].tobytes() == source[:10].tobytes()
    share = np.linspace(-1, 2, WIDTH)[32:64, np.newaxis]
    mixed = share * whole[RAMP] + (1 - share) * source[RAMP]
    # Mask, picture and mix are rounded once each.
    np.testing.assert_allclose(masked[RAMP], mixed, atol=1.5)


@pytest.mark.parametrize("precision", Precision)
def test_a_float_source_stays_where_the_mask_is_black(
    inbetween: Any, mask: Path, tmp_path: Path, precision: Precision
) -> None:
    rgba: FloatArray = still(np.uint8, 4).astype(np.float32) / np.float32(255)
    rgba[..., :3] *= 9 * rgba[..., 3:]  # Premultiplied, and brighter than white.
    rgba[20, 3], rgba[21, 3, :3], rgba[2, 3, 0] = np.nan, -0.25, 4
    clip = tmp_path / "source.exr"
    write_exr(clip, {name: rgba[..., at] for at, name in enumerate("RGBA")}, precision)
    rendered(inbetween, clip, "--keys", 0, "--mask", mask, "--out", tmp_path / "masked.#.exr")
    source: Any = load_exr(clip).planes
    masked: Any = load_exr(tmp_path / "masked.0.exr").planes
    for name in "RGBA":
        assert masked[name].dtype == source[name].dtype
        assert masked[name][BLACK].tobytes() == source[name][BLACK].tobytes()
    assert masked["A"].tobytes() == source["A"].tobytes()
    assert (masked["R"][WHITE] <= masked["A"][WHITE] + 1e-6).all()
    assert masked["R"][RAMP][30:].max() > 1.5  # What is brighter than white stays so in a mix.


def test_a_movie_is_masked_frame_by_frame(inbetween: Any, movie: Any, tmp_path: Path) -> None:
    clip = movie("clip.mkv", codec="ffv1", pixel_format="bgr0")
    for index in range(5):
        grey = np.full((HEIGHT, WIDTH), 255 if index == 2 else 0, np.uint8)
        cv2.imwrite(str(tmp_path / f"mask.{index}.png"), grey)
    rendered(
        inbetween, clip, "--keys", "0,4", "--mask", tmp_path / "mask.#.png",
        "--out", tmp_path / "out.#.png",
    )  # fmt: skip
    for index in range(5):
        result = read(tmp_path / f"out.{index}.png")
        source = picture((WIDTH, HEIGHT), index)[..., 2::-1]
        assert np.array_equal(result, source) == (index != 2)


def grey(path: Path, height: int = HEIGHT) -> None:
    cv2.imwrite(str(path), np.full((height, WIDTH), 255, np.uint8))


def no_mask(folder: Path) -> str:
    return "mask.png"


def small_mask(folder: Path) -> str:
    grey(folder / "mask.png", height=20)
    return "mask.png"


def short_mask(folder: Path) -> str:
    grey(folder / "mask.0.png")
    grey(folder / "mask.1.png")
    return "mask.#.png"


def mask_with_a_gap(folder: Path) -> str:
    for index in (0, 1, 3, 4):
        grey(folder / f"mask.{index}.png")
    return "mask.#.png"


def damaged_mask(folder: Path) -> str:
    (folder / "mask.png").write_bytes(b"no picture")
    return "mask.png"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_mask, "mask.png does not exist: check its name."),
        (small_mask, "mask.png is 96x20 but the clip is 96x54: save it in the size of the clip."),
        (short_mask, "has 2 frames but the clip has 5: give it as many, or give one picture"),
        (mask_with_a_gap, "has no frame 2: it has 0 to 4 with gaps: put the missing pictures back"),
        (damaged_mask, "mask.png is damaged or no picture"),
    ],
)
def test_what_is_no_mask_of_the_clip_is_refused_before_anything_is_rendered(
    inbetween: Any, movie: Any, tmp_path: Path, make: Any, said: str
) -> None:
    result = inbetween(
        "render", movie("clip.mp4"), "--mask", tmp_path / make(tmp_path),
        "--out", tmp_path / "out.mp4",
    )  # fmt: skip
    assert said in refused(result)
    assert "Painting" not in result.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_the_result_never_replaces_its_mask(inbetween: Any, movie: Any, tmp_path: Path) -> None:
    clip, mask = movie("clip.mp4"), movie("mask.mp4")
    result = inbetween("render", clip, "--mask", mask, "--out", mask, "--overwrite")
    assert "would replace" in refused(result)
