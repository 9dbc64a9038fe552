"""What stays on disk when room is made."""

import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import NotFoundError
from engine.media.files import replacing, temporary_name
from engine.store import StoredPicture
from engine.types import Precision
from server.session_folder import SessionFolder, evict, sweep
from server.work.disk_store import DiskStore

PICTURE = StoredPicture(np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32))


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """Of one session, which holds the propagations "old" and "new"."""
    folder = SessionFolder(tmp_path / "session")
    folder.make()
    store = DiskStore(folder, [], {}, lambda index, frame: None)
    for seconds, address in enumerate(("old", "new")):
        store.save(address, PICTURE, Precision.HALF)
        for path in (tmp_path / "session" / "work").glob(f"{address}*"):
            os.utime(path, (seconds, seconds))
    return store


@pytest.mark.parametrize("precision", Precision)
def test_between_the_stages_a_picture_keeps_every_bit_of_its_precision(
    store: DiskStore, precision: Precision
) -> None:
    random = np.random.default_rng(1)
    noise = random.normal(0.5, 1, (37, 53, 3)).astype(np.float32)
    error = random.random((37, 53), np.float32) * np.float32(1e5)
    store.save("noise", StoredPicture(noise, error), precision)
    loaded = store.load("noise")
    kept = np.float16 if precision is Precision.HALF else np.float32
    np.testing.assert_array_equal(loaded.pixels, noise.astype(kept).astype(np.float32))
    np.testing.assert_array_equal(loaded.patch_error, error)


def work_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("work/*"))


def test_a_picture_goes_with_its_errors(store: DiskStore, tmp_path: Path) -> None:
    evict(tmp_path, work_bytes(tmp_path) - 1, keep=())
    assert not store.has("old")
    with pytest.raises(NotFoundError):
        store.load("old")
    assert store.load("new").patch_error is not None
    assert len(list(tmp_path.rglob("work/*"))) == 2


def test_what_was_read_again_is_used_again(store: DiskStore, tmp_path: Path) -> None:
    store.load("old")
    evict(tmp_path, work_bytes(tmp_path) - 1, keep=())
    assert store.load("old").patch_error is not None
    assert not store.has("new")


def test_what_a_plan_needs_stays_over_the_budget(store: DiskStore, tmp_path: Path) -> None:
    evict(tmp_path, 0, keep={"old", "new"})
    assert store.load("old").patch_error is not None
    assert store.load("new").patch_error is not None


def test_what_a_killed_process_left_unfinished_is_deleted_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    takes = tmp_path / "session" / "takes"
    takes.mkdir(parents=True)
    left, whole = temporary_name(takes / "old.exr"), takes / "old.exr"
    for path in (left, whole):
        path.write_bytes(b"some of a picture")
        os.utime(path, (0, 0))
    with replacing(takes / "new.exr") as begun:
        begun.write_bytes(b"some of a picture")
        sweep(tmp_path)
    assert not left.exists()
    assert whole.exists()
    assert (takes / "new.exr").exists()
