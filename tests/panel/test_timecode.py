from fractions import Fraction

import pytest

from panel.model.timecode import parse_position, timecode

PAL = Fraction(25)
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("frame", "rate", "text"),
    [
        (0, PAL, "00:00:00:00"),
        (61, Fraction(24), "00:00:02:13"),
        (90_061, PAL, "01:00:02:11"),
        (30, NTSC, "00:00:01:00"),
    ],
)
def test_a_frame_is_written_as_an_editor_reads_it(frame: int, rate: Fraction, text: str) -> None:
    assert timecode(frame, rate) == text


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("61", 61),
        (" +20 ", 30),
        ("-5", 5),
        ("1:12", 37),
        ("+1:00", 35),
        ("00:01:00:00", 1500),
        ("", None),
        ("frame 7", None),
        ("1:2:3:4:5", None),
    ],
)
def test_a_typed_position_is_a_frame_an_offset_or_a_timecode(text: str, frame: int | None) -> None:
    assert parse_position(text, current=10, rate=PAL) == frame
