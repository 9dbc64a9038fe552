"""`python -m benchmarks.clip`, on a clip of a few small frames."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def measurements() -> list[dict[str, object]]:
    command = [sys.executable, "-m", "benchmarks.clip", "--size", "96x54", "--frames", "16"]
    finished = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in finished.stdout.splitlines()]


def test_json_is_one_object_a_line_and_nothing_else(
    measurements: list[dict[str, object]],
) -> None:
    assert [entry["keys"] for entry in measurements] == ["every 10", "by hand"]


def test_all_work_of_both_key_lists_is_measured(measurements: list[dict[str, object]]) -> None:
    every_tenth, by_hand = measurements
    assert (every_tenth["frames"], every_tenth["key_frames"]) == (16, 3)
    assert every_tenth["propagations"] == 2 * 9 + 2 * 4
    assert (by_hand["key_frames"], by_hand["propagations"]) == (2, 2 * 13 + 1)


def test_time_memory_and_calm_are_told(measurements: list[dict[str, object]]) -> None:
    for entry in measurements:
        stages = entry["stage_seconds"]
        assert isinstance(stages, dict)
        assert stages.keys() == {"finding cuts", "painting", "propagating", "blending"}
        assert 0 < sum(stages.values()) < float(str(entry["seconds"]))
        assert float(str(entry["peak_memory_mib"])) > 50
        assert 0 < float(str(entry["pixel_mse_source"])) < 0.01
        assert 0 < float(str(entry["pixel_mse_result"])) < 0.05
