"""The demo's own chain, small: effect in its host, server, key frames, in-betweens, panel."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from demo.__main__ import Rendering, Shot, run
from engine.types import FrameSize

SHOT = Shot(FrameSize(320, 180), frames=12, key_frames=(0, 5, 11))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def rendering(folder: Path) -> Iterator[Rendering]:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("INBETWEEN_RUNTIME_DIR", "INBETWEEN_HOME"):  # The chain sets its own.
            environment.delenv(name, raising=False)
        yield run(SHOT, folder)


def test_each_key_frame_is_painted_once_and_carried_to_both_sides(rendering: Rendering) -> None:
    done = rendering.job.done
    assert done.paintings == 3
    assert done.propagations == 2 * (4 + 5)
    assert done.blends == 4 + 5


def test_every_frame_of_the_host_is_painted_and_follows_its_source(rendering: Rendering) -> None:
    assert len(rendering.results) == SHOT.frames
    for source, result in zip(rendering.sources, rendering.results, strict=True):
        source_gray, result_gray = (picture.mean(axis=2).ravel() for picture in (source, result))
        assert np.abs(source_gray - result_gray).mean() > 5
        assert np.corrcoef(source_gray, result_gray)[0, 1] > 0.4


def test_the_movie_holds_every_frame_in_the_size_of_the_clip(
    rendering: Rendering, folder: Path
) -> None:
    with av.open(str(folder / "out.mp4")) as movie:
        pictures = [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]
    assert len(pictures) == SHOT.frames
    for picture, result in zip(pictures, rendering.results, strict=True):
        assert picture.shape == (180, 320, 3)
        assert np.abs(picture.astype(int) - result).mean() < 6


@pytest.mark.usefixtures("rendering")
def test_the_panel_shows_source_and_result_of_the_session(folder: Path) -> None:
    with Image.open(folder / "panel.png") as picture:
        viewer = np.asarray(picture.convert("RGB"))[150:700, 60:1150]
    left, right = viewer[:, :450], viewer[:, -450:]
    assert left.std() > 10
    assert right.std() > 10
