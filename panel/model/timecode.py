"""Frames as an editor writes and reads them."""

import re
from fractions import Fraction


def nominal_rate(rate: Fraction) -> int:
    """Frames in a second of timecode: 30 for 30000/1001 frames per second."""
    return max(1, round(rate))


def timecode(frame: int, rate: Fraction) -> str:
    """Non-drop-frame timecode, hh:mm:ss:ff, counted from source frame 0."""
    seconds, frames = divmod(abs(frame), nominal_rate(rate))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if frame < 0 else ""
    return f"{sign}{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"


def parse_position(text: str, current: int, rate: Fraction) -> int | None:
    """The frame that `text` names; None where it names none.

    `61` is a frame, `+20` and `-5` count from `current`, and `2:13` is a timecode read from its
    end, as editors type it.
    """
    match = re.fullmatch(r"\s*([+-]?)(\d+(?:[:;]\d+){0,3})\s*", text)
    if match is None:
        return None
    sign, number = match.groups()
    frame = _frames(number, rate)
    return {"+": current + frame, "-": current - frame, "": frame}[sign]


def _frames(number: str, rate: Fraction) -> int:
    *units, frames = (int(part) for part in re.split("[:;]", number))
    seconds = 0
    for unit in units:
        seconds = seconds * 60 + unit
    return seconds * nominal_rate(rate) + frames
