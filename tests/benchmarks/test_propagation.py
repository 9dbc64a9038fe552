"""`python -m benchmarks.propagation`, on a few small frames."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.brush import brush_strokes
from benchmarks.cases import named_cases
from benchmarks.situation import Situation
from engine.errors import InvalidValueError

SMALL = ("--size", "96x64", "--repeats", "1")
WITHOUT_OTHER_PACKAGES = """
import runpy, sys
for name in ("av", "cv2", "PIL", "PyOpenColorIO", "torch"):
    sys.modules[name] = None
runpy.run_module("benchmarks.propagation", run_name="__main__", alter_sys=True)
"""


def parsed(*arguments: str) -> dict[str, object]:
    """The one object that Python prints with these arguments."""
    command = [sys.executable, *arguments, "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = finished.stdout.splitlines()
    row: dict[str, object] = json.loads(line)
    return row


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def row(small_clip: Path, pictures: Path) -> dict[str, object]:
    case = ("--case", str(small_clip), "--key", "2", "--target", "4")
    return parsed("-m", "benchmarks.propagation", *case, "--save", str(pictures), *SMALL)


def test_quality_time_and_memory_are_told(row: dict[str, object]) -> None:
    assert (row["size"], row["key"], row["target"]) == ("96x64", 2, 4)
    assert number(row["psnr_db"]) > number(row["warp_only_psnr_db"]) > 20
    for name in ("seconds_per_propagation", "seconds_per_frame", "dis_seconds"):
        assert 0 < number(row[name]) < 10, name
    assert number(row["peak_memory_mib"]) > 50
    assert row["device_memory_mib"] is None


def test_both_painted_keys_are_measured(row: dict[str, object]) -> None:
    for name in (
        "energy_over_full",
        "gradient_ratio",
        "warp_gradient_ratio",
        "temporal_warp_error",
        "one_directional_warp_error",
        "gradient_ratio_by_frame",
    ):
        values = row[name]
        assert isinstance(values, dict)
        assert values.keys() == {"strokes", "mosaic"}, name
    by_frame = row["gradient_ratio_by_frame"]
    assert isinstance(by_frame, dict)
    assert len(by_frame["strokes"]) == 3  # between 2 and 6


def test_pictures_are_saved_for_people_to_look_at(row: dict[str, object], pictures: Path) -> None:
    assert row
    saved = {path.stem for path in pictures.glob("*/*.png")}
    assert {"key", "target", "result", "strokes_key", "strokes_result"} <= saved


def test_prepared_inputs_are_measured_without_the_packages_that_made_them(
    small_clip: Path, tmp_path: Path, row: dict[str, object]
) -> None:
    file = tmp_path / "prepared.npz"
    options = ["--case", str(small_clip), "--key", "2", "--target", "4", "--size", "96x64"]
    command = [sys.executable, "-m", "benchmarks.propagation", *options, "--prepare", str(file)]
    subprocess.run(command, capture_output=True, check=True)
    prepared = parsed("-c", WITHOUT_OTHER_PACKAGES, "--prepared", str(file), "--repeats", "1")
    assert number(prepared["psnr_db"]) == pytest.approx(number(row["psnr_db"]), abs=0.2)
    assert prepared["dis_seconds"] is None
    situation = Situation.load(file)
    assert (situation.keys, situation.target, situation.size) == ((2, 6), 4, "96x64")


def test_a_case_of_ones_own_without_its_frames_is_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidValueError, match="--key, --target and --size"):
        named_cases("clip.mp4", None, key=3, target=None, size="64x64")
    with pytest.raises(InvalidValueError, match="later"):
        named_cases(None, None, key=33, target=30, size=None)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--growth", "--key", "3"], "--key does nothing for --growth"),
        (["--plot", "plot.png"], "--plot does nothing for a measurement without --growth"),
        (["--prepared", __file__, "--size", "64x64"], "--size does nothing for --prepared"),
        (["--prepared", __file__], "was not written by --prepare"),
        (["--prepared", "missing.npz"], "missing.npz does not exist"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    options: list[str], sentence: str
) -> None:
    command = [sys.executable, "-m", "benchmarks.propagation", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_brush_strokes_are_the_same_every_time_and_much_sharper_than_their_source() -> None:
    y, x = np.mgrid[0:64, 0:96]
    source = np.stack([x * 2, y * 3, x + y], -1).astype(np.uint8)
    painted = brush_strokes(source)
    assert np.array_equal(painted, brush_strokes(source))
    assert not np.array_equal(painted, brush_strokes(source, seed=1))
    steps = np.abs(np.diff(painted.astype(int), axis=1)).mean()
    assert steps > 4 * np.abs(np.diff(source.astype(int), axis=1)).mean()


def number(value: object) -> float:
    assert isinstance(value, float)
    return value
