"""The growth of time, as it is drawn."""

import json
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import measure_growth
from benchmarks.report import Printer
from engine.errors import NotFoundError
from engine.types import FrameSize


def test_every_kind_of_growth_is_measured_and_drawn_with_another_machines_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = FrameSize(48, 32)
    for name, value in (
        ("SIZES", (small, FrameSize(96, 64))),
        ("THREADS_SIZE", small),
        ("PATTERN_SIZE", small),
        ("FRAMES", (3, 5)),
        ("KEY_INTERVAL", 2),
        ("KEYS", (2, 3)),
    ):
        monkeypatch.setattr(growth, name, value)
    rows, plot = tmp_path / "rows.jsonl", tmp_path / "growth.png"
    rows.write_text(
        json.dumps(
            {
                "benchmark": "propagation",
                "device": "another card",
                "size": "512x512",
                "load_average": 0.0,
                "seconds_per_propagation": 0.002,
                "processor_seconds_per_propagation": 0.001,
                "dis_seconds": None,
            }
        )
    )
    measure_growth("cpu", "draft", 1, rows, plot, Printer(as_json=True))
    points = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {point["grows"] for point in points} == {"pixels", "threads", "frames", "keys"}
    (card,) = [point for point in points if point["device"] == "another card"]
    assert (card["seconds"], card["floor_seconds"]) == (0.002, 0.0033)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_missing_rows_are_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="--json"):
        measure_growth("cpu", "draft", 1, tmp_path / "none", None, Printer(as_json=True))
