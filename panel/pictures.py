"""Pictures from the server, read in threads: the newest wish wins, and the window never waits."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import grpc
from inbetween.v1 import frame_pb2, render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from panel.connection import Connection

PATIENCE_SECONDS = 0.1
"""How long a picture that nobody waits for any more may still take: while the playhead moves, a
quick server shows every picture on the way, and a slow one does not hold up the newest."""
READ_SECONDS = 60.0


@dataclass(frozen=True)
class PictureRequest:
    """A picture that fits inside `width` x `height` pixels."""

    index: int
    picture: render_pb2.Picture.ValueType
    width: int
    height: int
    take: str = ""

    def message(self, session_id: str) -> render_pb2.ReadFrameRequest:
        return render_pb2.ReadFrameRequest(
            session_id=session_id,
            index=self.index,
            picture=self.picture,
            take=self.take,
            fit_within=frame_pb2.FrameSize(width=self.width, height=self.height),
        )


@dataclass(frozen=True)
class ReadPicture:
    """What the server has there; no image where nothing was rendered yet."""

    image: QImage | None
    state: pb.FrameState.ValueType = pb.FRAME_STATE_UNSPECIFIED


class PictureReader(QObject):
    """Reads the pictures wished for last, and keeps the ones seen last."""

    arrived = Signal(object, object)
    """PictureRequest, ReadPicture; in the window's thread."""

    def __init__(self, connection: Connection, *, threads: int, kept: int) -> None:
        super().__init__()
        self._connection = connection
        self._kept = kept
        self._cache: OrderedDict[PictureRequest, ReadPicture] = OrderedDict()
        self._changed = threading.Condition()
        self._wishes: list[PictureRequest] = []
        self._reading: dict[PictureRequest, tuple[grpc.Call, float]] = {}
        self._forgotten = 0
        self._closed = False
        self._impatience = QTimer(self, singleShot=True)
        self._impatience.setInterval(int(PATIENCE_SECONDS * 1000))
        self._impatience.timeout.connect(self._cancel_unwanted)
        self._threads = [
            threading.Thread(target=self._read_loop, name="panel-pictures", daemon=True)
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def cached(self, request: PictureRequest) -> ReadPicture | None:
        picture = self._cache.get(request)
        if picture is not None:
            self._cache.move_to_end(request)
        return picture

    def want(self, requests: Iterable[PictureRequest]) -> None:
        """Reads these, the first one first, in place of all that was wanted before."""
        missing = [request for request in dict.fromkeys(requests) if request not in self._cache]
        with self._changed:
            self._wishes = missing
            self._changed.notify_all()
        if not self._impatience.isActive():
            self._impatience.start()

    @property
    def is_idle(self) -> bool:
        """Whether everything that is wanted was read."""
        with self._changed:
            return not self._wishes

    def forget(self, picture: render_pb2.Picture.ValueType, frames: Sequence[int] | None) -> None:
        """Drops pictures of this kind: those of `frames`, or all."""
        chosen = None if frames is None else set(frames)
        with self._changed:
            self._forgotten += 1
        for request in list(self._cache):
            if request.picture == picture and (chosen is None or request.index in chosen):
                del self._cache[request]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for call, _ in self._reading.values():
                call.cancel()  # type: ignore[no-untyped-call]
        for thread in self._threads:
            thread.join()

    def _cancel_unwanted(self) -> None:
        now = time.monotonic()
        with self._changed:
            unwanted = [call for wish, call in self._reading.items() if wish not in self._wishes]
            for call, begun in unwanted:
                if now - begun >= PATIENCE_SECONDS:
                    call.cancel()  # type: ignore[no-untyped-call]
        if unwanted:
            self._impatience.start()

    def _read_loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                if self._closed:
                    return
                request = self._next()
                assert request is not None  # noqa: S101 - waited for above
                call = self._connection.render.ReadFrame(
                    request.message(self._connection.session_id), timeout=READ_SECONDS
                )
                self._reading[request] = (call, time.monotonic())
                forgotten = self._forgotten
            picture = self._received(call)
            self._connection.post(partial(self._finish, request, picture, forgotten))

    def _next(self) -> PictureRequest | None:
        return next((wish for wish in self._wishes if wish not in self._reading), None)

    def _received(self, call: Iterable[render_pb2.ReadFrameResponse]) -> ReadPicture | None:
        """The picture; None where the call ended without one, for whatever reason."""
        try:
            return picture_from(call)
        except grpc.RpcError:
            return None

    def _finish(self, request: PictureRequest, picture: ReadPicture | None, forgotten: int) -> None:
        """In the window's thread: keeps what was read, unless it may be older than `forget`."""
        with self._changed:
            del self._reading[request]
            if forgotten != self._forgotten:
                self._changed.notify_all()  # still wished for: it is read again
                return
            if request in self._wishes:
                self._wishes.remove(request)
        if picture is not None:
            self._cache[request] = picture
            while len(self._cache) > self._kept:
                self._cache.popitem(last=False)
            self.arrived.emit(request, picture)


def picture_from(responses: Iterable[render_pb2.ReadFrameResponse]) -> ReadPicture:
    """Puts a picture together from its pieces."""
    state: pb.FrameState.ValueType = pb.FRAME_STATE_UNSPECIFIED
    header: frame_pb2.FrameHeader | None = None
    pixels = bytearray()
    for response in responses:
        if response.WhichOneof("part") == "description":
            state = response.description.state
        elif response.frame.WhichOneof("piece") == "header":
            header = response.frame.header
        else:
            pixels += response.frame.pixels
    return ReadPicture(image_from(header, pixels) if header else None, state)


def image_from(header: frame_pb2.FrameHeader, pixels: bytearray) -> QImage:
    """An image that owns its pixels."""
    formats = {
        frame_pb2.ALPHA_STRAIGHT: QImage.Format.Format_RGBA8888,
        frame_pb2.ALPHA_PREMULTIPLIED: QImage.Format.Format_RGBA8888_Premultiplied,
    }
    kind = formats.get(header.alpha, QImage.Format.Format_RGBX8888)
    size = header.size
    return QImage(bytes(pixels), size.width, size.height, size.width * 4, kind).copy()
