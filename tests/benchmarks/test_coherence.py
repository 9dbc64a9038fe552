"""`python -m benchmarks.coherence`, on clips of a few small frames."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import coherence
from benchmarks.coherence import edge_distance
from engine.media.color import to_painting_space
from engine.media.moving_scene import MovingScene
from engine.native.kernels import Kernels
from engine.trial import Trial
from engine.types import FrameSize

QUICK = ["--size", "96x96", "--steps", "5", "--json"]


def measured(*options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.coherence", *QUICK, *options]
    # Small layers on several threads wait for each other most of the time.
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return measured("--pictures", str(folder))


def test_each_clip_has_a_row_for_each_constraint_more(rows: list[dict[str, Any]]) -> None:
    assert [row["name"] for row in rows] == 2 * list(coherence.CONSTRAINTS)
    assert [row["clip"] for row in rows] == 5 * ["moving scene"] + 5 * ["bigbuckbunny.mp4"]


def test_all_constraints_together_make_key_frames_agree(rows: list[dict[str, Any]]) -> None:
    for independent, full in ((rows[0], rows[4]), (rows[5], rows[9])):
        assert full["key_mse"] < 0.9 * independent["key_mse"]
        assert full["pixel_mse"] < independent["pixel_mse"]


def test_the_key_frames_of_all_rows_are_drawn(rows: list[dict[str, Any]], folder: Path) -> None:
    for name in ("moving_scene.png", "bigbuckbunny.png"):
        with Image.open(folder / name) as sheet:
            assert sheet.height > (1 + len(coherence.CONSTRAINTS)) * 96


def test_edges_that_are_moved_with_the_clip_are_no_distance_apart() -> None:
    scene = MovingScene(FrameSize(128, 96), 11)
    trial = Trial(scene, (0, 10), Kernels.open("cpu"))
    first, last = (to_painting_space(scene.read(key)) for key in trial.keys)
    with_the_clip = edge_distance(trial, {0: first, 10: last})
    left_behind = edge_distance(trial, {0: first, 10: first})
    assert with_the_clip < 0.5 * left_behind
    assert left_behind < 1
