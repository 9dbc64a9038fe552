"""The thumbnails of the timeline: which are wanted, read and painted."""

from math import ceil

from inbetween.v1 import render_pb2
from PySide6.QtCore import QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter

from panel.editor import Editor
from panel.model.time_scale import TimeScale
from panel.pictures import PictureReader, PictureRequest, ReadPicture
from panel.widgets.lanes import CLIP, LABEL_WIDTH

KEPT_THUMBNAILS = 600


class Thumbnails(QObject):
    """Frames of the source, evenly spaced over the part of the clip that a scale shows."""

    arrived = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._reader = PictureReader(editor.connection, threads=2, kept=KEPT_THUMBNAILS)
        self._reader.arrived.connect(self._tell)

    @property
    def is_settled(self) -> bool:
        """Whether all that are wanted have arrived."""
        return self._reader.is_idle

    def want(self, scale: TimeScale, pixel_ratio: float) -> None:
        """Asks the server for those that can be seen."""
        if self._editor.model.session is not None:
            self._reader.want(self._request(frame, pixel_ratio) for frame in self._frames(scale))

    def paint(self, painter: QPainter, scale: TimeScale, pixel_ratio: float) -> None:
        """Those that have arrived, and the places of the others."""
        step = self._step(scale)
        width = step * scale.pixels_per_frame
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for frame in self._frames(scale):
            cell = CLIP.rect(LABEL_WIDTH + scale.x_of(frame), width - 1)
            painter.fillRect(cell, QColor("#2b2b30"))
            picture = self._reader.cached(self._request(frame, pixel_ratio))
            if picture is not None and picture.image is not None:
                shown = QSize(round(cell.width()), CLIP.height)
                image = picture.image.scaled(
                    shown.boundedTo(self._size()) if step == 1 else shown,
                    Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                    Qt.TransformationMode.SmoothTransformation,
                )
                visible = QRectF(0, 0, min(cell.width(), image.width()), CLIP.height)
                painter.drawImage(cell.topLeft(), image, visible)

    def close_reader(self) -> None:
        self._reader.close()

    def _tell(self, request: PictureRequest, picture: ReadPicture) -> None:  # noqa: ARG002
        self.arrived.emit()

    def _size(self) -> QSize:
        session = self._editor.model.session
        if session is None or not session.clip.size.height:
            return QSize(96, CLIP.height)
        aspect = session.clip.size.width / session.clip.size.height
        return QSize(min(max(round(CLIP.height * aspect), 24), 160), CLIP.height)

    def _frames(self, scale: TimeScale) -> list[int]:
        """Evenly spaced, and the same ones when the timeline is scrolled."""
        step = self._step(scale)
        first, last = scale.visible
        start = first - (first - scale.first) % step
        return list(range(start, last + 1, step))

    def _step(self, scale: TimeScale) -> int:
        return ceil(self._size().width() / scale.pixels_per_frame)

    def _request(self, frame: int, pixel_ratio: float) -> PictureRequest:
        size = self._size() * pixel_ratio
        return PictureRequest(frame, render_pb2.PICTURE_SOURCE, size.width(), size.height())
