"""No stage between a painting and the finished frames loses anything."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from inbetween.v1.frame_pb2 import PIXEL_TYPE_UINT8
from inbetween.v1.render_pb2 import PICTURE_RESULT, ReadFrameRequest
from inbetween.v1.session_pb2 import JobState

from tests.server.conftest import Caller, Pixels
from tests.server.test_key_frames import import_painting

LAST = 4


def noise(seed: int) -> Pixels:
    """RGB: every lossy way of keeping a picture changes it everywhere."""
    return np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8)


def png(rgb: Pixels) -> bytes:
    return bytes(cv2.imencode(".png", rgb[..., ::-1])[1])


@pytest.fixture
def still_clip(tmp_path: Path) -> Path:
    """Nothing moves in it."""
    for index in range(LAST + 1):
        (tmp_path / f"still.{index:04}.png").write_bytes(png(noise(seed=1)))
    return tmp_path / "still.%04d.png"


def test_where_nothing_moves_every_frame_is_the_painting_to_the_byte(
    caller: Caller, still_clip: Path
) -> None:
    session, painting = caller.open(still_clip), noise(seed=2)
    for key in (0, LAST):
        import_painting(caller, session, key, png(painting))
    job = caller.run(session.id)
    assert (job.state, job.error) == (JobState.JOB_STATE_DONE, "")
    assert (job.done.propagations, job.done.blends) == (2 * (LAST - 1), LAST - 1)
    for index in range(LAST + 1):
        np.testing.assert_array_equal(result(caller, session.id, index), painting)


def result(caller: Caller, session_id: str, index: int) -> Pixels:
    request = ReadFrameRequest(
        session_id=session_id, index=index, picture=PICTURE_RESULT, pixel_type=PIXEL_TYPE_UINT8
    )
    data = b"".join(part.frame.pixels for part in caller.render.ReadFrame(request))
    return np.frombuffer(data, np.uint8).reshape(64, 96, 4)[..., :3]
