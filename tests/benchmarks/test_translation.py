"""`python -m benchmarks.translation`, with tiny networks on the processor."""

from dataclasses import asdict

import pytest

from benchmarks.random_model import TINY
from benchmarks.translation import measure
from engine.errors import InvalidValueError
from engine.types import FrameSize


def test_key_frames_are_measured_against_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    measured = measure(FrameSize(64, 64), "cpu", 4, TINY)
    row = asdict(measured)
    assert (row["device"], row["size"], row["steps"], row["fused"]) == ("cpu", "64x64", 20, False)
    assert len(measured.seconds_by_key) == 4
    assert measured.load_seconds > 0
    assert measured.seconds_per_key == measured.seconds_by_key[3]
    assert measured.speedup == measured.plain_seconds / measured.seconds_per_key
    assert measured.peak_memory_mib > 50


def test_too_few_key_frames_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="keys is 3"):
        measure(FrameSize(64, 64), "cpu", 3, TINY)
