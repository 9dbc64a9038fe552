"""Reads damaged copies of a file, each told by its seed before: `KIND FILE COUNT`.

A process of its own, which may die of a codec.
"""

import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import InbetweenError
from engine.media.picture import read_picture
from engine.media.source import open_source

SECONDS_PER_FILE = 20.0  # of this process, however busy the machine
MEMORY_BYTES = 6 << 30
"""Of address space: a file of a few kilobytes must not ask for more."""


def damaged(data: bytes, seed: int) -> bytes:
    """Cut short, or with bits flipped, bytes replaced, or a piece taken out or repeated."""
    chance = random.Random(seed)
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        # Headers stand at the ends, and what they say matters most.
        reach = chance.choice((64, 1024, len(result)))
        at = min(chance.randrange(reach), len(result) - 1)
        at = chance.choice((at, len(result) - 1 - at))
        match chance.randrange(6):
            case 0 if chance.random() < 0.3:
                del result[max(1, at) :]
            case 1:
                result[at : at + 4] = chance.choice((b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"))
            case 2:
                del result[at : at + chance.randrange(1, 64)]
            case 3:
                result[at:at] = result[at : at + chance.randrange(64)]
            case _:
                result[at] ^= 1 << chance.randrange(8)
        if not result:
            break
    return bytes(result) or data[:1]


def _read_picture(path: Path) -> None:
    picture = read_picture(path)
    assert picture.ndim == 3
    assert picture.shape[2] == 4
    assert picture.dtype == np.float32
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1


def _read_movie(path: Path) -> None:
    source = open_source(path, notice=lambda text: None)
    try:
        frames = source.clip.frame_range
        for index in {frames.first, frames.last, len(frames) // 2}:
            frame = source.read(index)
            assert frame.size == source.clip.size
            assert np.isfinite(frame.pixels).all()
    finally:
        source.close()


READERS: dict[str, Callable[[Path], None]] = {"picture": _read_picture, "movie": _read_movie}


def main(kind: str, file: Path, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    data, copy = file.read_bytes(), file.with_name(f"damaged{file.suffix}")
    refused = 0
    for seed in range(count):
        print(f"seed {seed}", flush=True)
        copy.write_bytes(damaged(data, seed))
        began = time.process_time()
        try:
            READERS[kind](copy)
        except InbetweenError:
            refused += 1
        assert time.process_time() - began < SECONDS_PER_FILE
    print(f"{count} files, {refused} refused")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
