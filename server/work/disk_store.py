"""The store of the worker: what `engine.pipeline.execute` reads and writes."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from engine.media.exr import UNCOMPRESSED, read_exr, write_exr
from engine.media.picture import write_picture
from engine.plan import Address, Paint
from engine.store import StoredPicture
from engine.translation.painter import Trajectory
from engine.translation.painters import models_of, recipe_of
from engine.types import Frame, Precision
from server.records import DeliveredFrame, FrameKind
from server.session_folder import SessionFolder, rgb_planes, versions

Delivery = Callable[[int, DeliveredFrame], None]


class DiskStore:
    """Pictures in the session's folder.

    What is delivered arrives beside the sequence; the server, which keeps the books, puts it in its
    place.
    """

    def __init__(
        self,
        folder: SessionFolder,
        paints: Iterable[Paint],
        delivered: Mapping[int, Address],
        deliver: Delivery,
    ) -> None:
        self._folder = folder
        self._paints = {paint.address: paint for paint in paints}
        self._delivered = dict(delivered)
        self._deliver = deliver

    def has(self, address: Address) -> bool:
        return self._folder.has(address)

    def load(self, address: Address) -> StoredPicture:
        work = self._folder.work(address)
        if not work.exists():
            return StoredPicture(self._folder.load_picture(address))
        os.utime(work)  # The least recently used pictures are the first to go.
        error_path = self._folder.patch_error(address)
        error = read_exr(error_path)["Y"] if error_path.exists() else None
        return StoredPicture(self._folder.load_picture(address), error)

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None:
        if address in self._paints:
            paint = self._paints[address]
            description = {
                "paint": asdict(paint),
                "recipe": recipe_of(paint.settings).text,
                "models": [asdict(model) for model in models_of(paint.settings)],
                "drift": picture.drift and asdict(picture.drift),
                "versions": versions(),
            }
            self._folder.save_take(address, picture.pixels, precision, description)
            return
        if picture.patch_error is not None:
            # First: the picture's own file says that both are there.
            path = self._folder.patch_error(address)
            write_exr(path, {"Y": picture.patch_error}, Precision.FLOAT, UNCOMPRESSED)
        planes = rgb_planes(picture.pixels)
        write_exr(self._folder.work(address), planes, precision, UNCOMPRESSED)

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        self._folder.save_trajectory(take, trajectory)

    def load_trajectory(self, take: Address) -> Trajectory | None:
        return self._folder.load_trajectory(take)

    def delivered(self, index: int) -> Address | None:
        return self._delivered.get(index)

    def deliver(self, frame: Frame, address: Address) -> None:
        write_picture(self._folder.arriving(frame.index), frame)
        self._delivered[frame.index] = address
        self._deliver(frame.index, DeliveredFrame(address, frame.color_space, FrameKind.of(frame)))
