"""Pictures on disk: a session's folder with its source frames, work, takes and sequence."""

import json
import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.color import from_painting_space, to_painting_space
from engine.media.exr import read_exr, write_exr
from engine.media.files import replacing, storage_errors
from engine.media.picture import read_frame
from engine.plan import METHOD_VERSION, Address
from engine.translation.painter import Trajectory
from engine.types import Alpha, Clip, Drift, FloatArray, Frame, Precision
from server.records import DeliveredFrame, FrameKind, HostFrame

log = logging.getLogger(__name__)

DESCRIPTION = "render.json"
"""Beside the finished frames: all that is needed to repeat the render."""

PACKAGES = (
    "inbetween",
    "numpy",
    "opencv-python-headless",
    "torch",
    "torchvision",
    "diffusers",
)
"""Whose versions may change a picture."""

DOOMED = ".deleted-"
"""Before the id of a session in the name of its folder, while it is being deleted."""

UNFINISHED_SECONDS = 3600
"""After which nobody writes a file any more whose name is still the temporary one."""


@dataclass(frozen=True)
class SessionFolder:
    """The folder of one session. Every file in it is whole: written aside, then renamed."""

    path: Path

    def make(self) -> None:
        """Raises StorageError."""
        for name in ("arriving", "sequence"):
            with storage_errors(self.path):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    def mark_used(self) -> None:
        """The folder's own time tells when somebody had to do with the session last."""
        with suppress(OSError):  # It is worth no failed edit.
            os.utime(self.path)

    def set_aside(self) -> Path:
        """Gives the folder a name that no session has. Raises StorageError."""
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)  # A person may have deleted it.
            return self.path.rename(self._doomed)

    def take_back(self) -> None:
        """Gives the folder its own name again. Raises StorageError."""
        with storage_errors(self.path):
            self._doomed.rename(self.path)

    @property
    def _doomed(self) -> Path:
        return self.path.with_name(f"{DOOMED}{self.path.name}")

    def source(self, index: int) -> Path:
        return self.path / "source" / f"{index:06d}.exr"

    def work(self, address: Address) -> Path:
        return self.path / "work" / f"{address}.exr"

    def patch_error(self, address: Address) -> Path:
        return self.path / "work" / f"{address}.error.exr"

    def take(self, address: Address) -> Path:
        return self.path / "takes" / f"{address}.exr"

    def trajectory(self, take: Address) -> Path:
        return self.take(take).with_suffix(".safetensors")

    def arriving(self, index: int) -> Path:
        return self.path / "arriving" / f"{index:06d}.exr"

    def sequence(self, index: int) -> Path:
        return self.path / "sequence" / f"{index:06d}.exr"

    @property
    def description(self) -> Path:
        return self.path / "sequence" / DESCRIPTION

    def has(self, address: Address) -> bool:
        return self.work(address).exists() or self.take(address).exists()

    def load_picture(self, address: Address) -> FloatArray:
        """A take or a picture of the work, [H, W, 3] in painting space; NotFoundError."""
        work = self.work(address)
        return _rgb(read_exr(work if work.exists() else self.take(address)))

    def save_take(
        self,
        address: Address,
        pixels: FloatArray,
        precision: Precision,
        description: Mapping[str, object],
    ) -> None:
        """A take [H, W, 3], with all that is needed to paint it again beside it."""
        write_json(self.take(address).with_suffix(".json"), description)
        write_exr(self.take(address), rgb_planes(pixels), precision)

    def load_drift(self, take: Address) -> Drift | None:
        """What the description beside a take tells of its drift; None where it tells nothing: a
        figure is worth no failed render.
        """
        path = self.take(take).with_suffix(".json")
        try:
            drift = json.loads(path.read_text())["drift"]
            return Drift(**drift) if drift else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s tells no drift: %r", path, error)
            return None

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        """Beside its take."""
        facts = {"model": trajectory.model, "times": json.dumps(trajectory.times)}
        with replacing(self.trajectory(take)) as temporary:
            save_file({"latents": trajectory.latents}, temporary, facts)

    def load_trajectory(self, take: Address) -> Trajectory | None:
        """None for a take that has none. Raises UnreadableMediaError for a damaged file."""
        path = self.trajectory(take)
        if not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as file:
                facts = file.metadata()
                times = tuple(json.loads(facts["times"]))
                return Trajectory(facts["model"], times, file.get_tensor("latents"))
        except (SafetensorError, KeyError, ValueError) as error:
            raise UnreadableMediaError(
                f"{path} is damaged: delete it, and the key frames after it are painted against "
                "the picture alone."
            ) from error

    def save_source(self, frame: Frame) -> None:
        """A frame of a host, in the host's own colours."""
        planes = {name: frame.pixels[..., channel] for channel, name in enumerate("RGBA")}
        write_exr(self.source(frame.index), planes, frame.precision)

    def load_source(self, index: int, kind: FrameKind, color_space: str) -> Frame:
        planes = read_exr(self.source(index))
        pixels = np.stack([planes[name] for name in "RGBA"], axis=-1)
        return kind.apply(Frame(index, pixels, color_space))

    def accept(self, index: int) -> None:
        """Puts a frame that the worker finished into the sequence."""
        with storage_errors(self.sequence(index)):
            self.arriving(index).replace(self.sequence(index))

    def load_display(self, index: int) -> Frame:
        """A frame of the sequence in straight sRGB."""
        return displayed(read_frame(self.sequence(index), index))

    def load_result(self, index: int, delivered: DeliveredFrame) -> Frame:
        """A frame of the sequence in the colour space and with the alpha of its clip."""
        shown = self.load_display(index)
        like = delivered.kind.apply(replace(shown, color_space=delivered.color_space))
        return from_painting_space(shown.pixels[..., :3], like)


class HostSource:
    """The FrameSource of a clip whose frames a host has sent."""

    def __init__(
        self, folder: SessionFolder, clip: Clip, frames: Mapping[int, HostFrame], color_space: str
    ) -> None:
        self._folder = folder
        self._clip = clip
        self._frames = frames
        self._color_space = color_space

    @property
    def clip(self) -> Clip:
        return self._clip

    def read(self, index: int) -> Frame:
        return self._folder.load_source(index, self._frame(index).kind, self._color_space)

    def digest(self, index: int) -> str:
        return self._frame(index).digest

    def close(self) -> None:
        """Nothing is held open."""

    def _frame(self, index: int) -> HostFrame:
        if index not in self._frames:
            raise NotFoundError(
                f"The host has not sent source frame {index} yet: render the clip in the host."
            )
        return self._frames[index]


def displayed(frame: Frame) -> Frame:
    """A frame as a screen shows it: straight sRGB, all of it numbers."""
    rgb = to_painting_space(frame)
    alpha = Alpha.OPAQUE if frame.alpha is Alpha.OPAQUE else Alpha.STRAIGHT
    pixels = np.dstack([rgb, np.nan_to_num(frame.pixels[..., 3])])
    return replace(frame, pixels=pixels, color_space="srgb", alpha=alpha)


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Raises StorageError."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, sort_keys=True, default=str) + "\n")


def versions() -> dict[str, str]:
    """Of everything that may change a picture."""
    found = {"method": str(METHOD_VERSION)}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def evict(sessions: Path, budget_bytes: int, keep: Collection[Address]) -> None:
    """Deletes the work that was not used for longest, until the rest fits.

    Only what can be made again is deleted: no take, no painting, no source, no sequence. A picture
    and its errors go together.
    """
    pieces: defaultdict[Path, list[tuple[Path, os.stat_result]]] = defaultdict(list)
    for path in sessions.glob("*/work/[!.]*.exr"):
        with suppress(FileNotFoundError):
            picture = path.with_name(f"{path.name.partition('.')[0]}.exr")
            pieces[picture].append((path, path.stat()))
    used = {picture: max(at.st_mtime for _, at in files) for picture, files in pieces.items()}
    sizes = {picture: sum(at.st_size for _, at in files) for picture, files in pieces.items()}
    excess = sum(sizes.values()) - budget_bytes
    for picture in sorted(pieces, key=lambda picture: used[picture]):
        if excess <= 0:
            return
        if picture.stem not in keep:
            log.info("evicting %s", picture)
            picture.unlink(missing_ok=True)  # First: it says that its errors are there.
            for path, _ in pieces[picture]:
                path.unlink(missing_ok=True)
            excess -= sizes[picture]


def finish_deletions(sessions: Path, known: Collection[str]) -> None:
    """Brings to an end what a killed server began: the session is there, or all of it is gone."""
    for doomed in sessions.glob(f"{DOOMED}*"):
        session_id = doomed.name.removeprefix(DOOMED)
        if session_id in known:
            SessionFolder(sessions / session_id).take_back()
        else:
            shutil.rmtree(doomed, ignore_errors=True)


def delete_work(folder: SessionFolder) -> int:
    """Deletes what can be made again; the bytes that are free by that. Raises StorageError."""
    freed = 0
    for path in (folder.path / "work").glob("*"):
        # One after the other: the budget may take some of them at the same time.
        with storage_errors(path), suppress(FileNotFoundError):
            size = path.lstat().st_size
            path.unlink()
            freed += size
    return freed


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; files may come and go meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size if not path.is_dir() else 0
    return size


def sweep(sessions: Path) -> None:
    """Deletes files that were never finished, as their process was killed."""
    latest = time.time() - UNFINISHED_SECONDS
    for path in sessions.glob("*/*/.*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < latest:
                log.info("deleting the unfinished %s", path)
                path.unlink()


def rgb_planes(pixels: FloatArray) -> dict[str, FloatArray]:
    return {name: pixels[..., channel] for channel, name in enumerate("RGB")}


def _rgb(planes: Mapping[str, FloatArray]) -> FloatArray:
    return np.stack([planes[name] for name in "RGB"], axis=-1)
