"""The picture: source, result, or both with a wipe between them."""

from dataclasses import dataclass
from enum import Enum

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from panel.editor import Editor
from panel.model.session import Link
from panel.model.timecode import timecode
from panel.model.wording import FRAME_STATE_NAMES, key_work, steps_of
from panel.pictures import PictureReader, PictureRequest, ReadPicture
from panel.style import OUT_OF_DATE, TEXT

KEPT_PICTURES = 48
REQUEST_GRAIN = 64
"""Pictures are asked for in sizes of this grain, so that a resize does not read them all again."""
HANDLE_REACH = 10
LARGEST_ZOOM = 16.0


class ViewMode(Enum):
    """What the viewer shows."""

    SOURCE = "Source"
    RESULT = "Result"
    WIPE = "Wipe"


@dataclass(frozen=True)
class ResultShown:
    """What stands in the result's place at a frame, and how it is labelled."""

    frame: int | None
    """None: the source."""
    label: str
    is_current: bool
    preview: pb.Preview | None = None
    """In place of a frame: one that is being painted."""


class Viewer(QWidget):
    """Shows the frame under the playhead; never waits, and never goes black."""

    mode_changed = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._reader = PictureReader(editor.connection, threads=2, kept=KEPT_PICTURES)
        self._mode = ViewMode.WIPE
        self._peeks = False
        self._wipe = 0.5
        self._drags_wipe = False
        self._pans_from: QPointF | None = None
        self._zoom = 1.0
        self._pan = QPointF()
        self._source: QImage | None = None
        self._result: QImage | None = None
        self._shown_preview: pb.Preview | None = None
        self._preview_image = QImage()
        self._nothing_at: set[int] = set()
        self._scaled: dict[int, QPixmap] = {}
        self.setMinimumSize(320, 200)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Viewer")
        self._reader.arrived.connect(self._take_picture)
        editor.playhead_moved.connect(self.refresh)
        editor.session_changed.connect(self._session_changed)
        editor.frames_changed.connect(self._frames_changed)
        editor.job_changed.connect(self.refresh)
        editor.preview_changed.connect(self.refresh)
        editor.link_changed.connect(self._link_changed)

    # What is shown

    @property
    def mode(self) -> ViewMode:
        return self._mode

    def set_mode(self, mode: ViewMode) -> None:
        self._mode = mode
        self.mode_changed.emit()
        self.refresh()

    def peek_source(self, peeks: bool) -> None:
        """Shows the source for as long as a key is held."""
        self._peeks = peeks
        self.update()

    def fit(self) -> None:
        """The whole picture."""
        self._zoom = 1.0
        self._pan = QPointF()
        self._scaled.clear()
        self.refresh()

    @property
    def wipe_position(self) -> float:
        """Where the wipe stands in the picture, 0..1."""
        return self._wipe

    @property
    def is_settled(self) -> bool:
        """Whether all pictures that are wanted have arrived."""
        return self._reader.is_idle and self._source is not None

    @property
    def result_shown(self) -> ResultShown:
        """The result at the playhead: that frame or how its painting looks by now, else the nearest
        ready one, else the source.
        """
        model = self._editor.model
        state = model.frames.at(model.playhead)
        name = FRAME_STATE_NAMES.get(state, "")
        work = key_work(model, model.playhead)
        if work and state != pb.FRAME_STATE_READY:
            return self._work_shown(work)
        if state == pb.FRAME_STATE_SOURCE:
            return ResultShown(
                None, f"B  SOURCE · {name.removeprefix('source: ')}", is_current=True
            )
        if state != pb.FRAME_STATE_MISSING and model.playhead not in self._nothing_at:
            is_ready = state == pb.FRAME_STATE_READY
            return ResultShown(
                model.playhead, "B  RESULT" if is_ready else f"B  RESULT · {name}", is_ready
            )
        nearest = model.frames.nearest(model.playhead, pb.FRAME_STATE_READY)
        if nearest is None:
            return ResultShown(None, f"B  SOURCE · {name} yet".replace("yet yet", "yet"), False)
        return ResultShown(nearest, f"B  RESULT of frame {nearest} · {name} here", False)

    def _work_shown(self, work: str) -> ResultShown:
        """What stands at a key frame that a job works for."""
        model = self._editor.model
        if model.job is not None and model.preview and model.preview.frame == model.playhead:
            return ResultShown(None, f"B  PAINTING · {steps_of(model.job)}", False, model.preview)
        has_result = model.frames.at(model.playhead) != pb.FRAME_STATE_MISSING
        if has_result and model.playhead not in self._nothing_at:
            return ResultShown(model.playhead, f"B  RESULT · {work}", False)
        return ResultShown(None, f"B  SOURCE · {work}", False)

    def refresh(self) -> None:
        """Asks for the pictures of the playhead; those known already show at once."""
        if self._editor.model.session is None:
            return
        requests = self._requests()
        for request in requests:
            picture = self._reader.cached(request)
            if picture is not None:
                self._show_picture(request, picture)
        shown = self.result_shown
        if shown.preview is not None:
            self._show_preview(shown.preview)
        elif shown.frame is None:
            self._result = None
        self._reader.want(requests)
        self.update()

    def close_reader(self) -> None:
        self._reader.close()

    def _requests(self) -> list[PictureRequest]:
        model = self._editor.model
        size = self._request_size()
        source = PictureRequest(
            model.playhead, render_pb2.PICTURE_SOURCE, size.width(), size.height()
        )
        shown = self.result_shown.frame
        if shown is None or self._mode is ViewMode.SOURCE:
            return [source]
        result = PictureRequest(shown, render_pb2.PICTURE_RESULT, size.width(), size.height())
        return [source, result] if self._mode is ViewMode.WIPE else [result, source]

    def _request_size(self) -> QSize:
        """Device pixels of the fitted picture, or the clip's own size when zoomed in."""
        if self._zoom > 1.0 and self._editor.model.session is not None:
            size = self._editor.model.session.clip.size
            return QSize(size.width, size.height)
        ratio = self.devicePixelRatioF()
        grain = REQUEST_GRAIN
        return QSize(
            -(-int(self.width() * ratio) // grain) * grain,
            -(-int(self.height() * ratio) // grain) * grain,
        )

    def _take_picture(self, request: PictureRequest, picture: ReadPicture) -> None:
        if picture.image is None and request.picture == render_pb2.PICTURE_RESULT:
            self._nothing_at.add(request.index)
            self.refresh()
        elif request in self._requests():
            self._show_picture(request, picture)
            self.update()

    def _show_picture(self, request: PictureRequest, picture: ReadPicture) -> None:
        if request.picture == render_pb2.PICTURE_SOURCE:
            self._source = picture.image or self._source
        else:
            self._result = picture.image or self._result

    def _show_preview(self, preview: pb.Preview) -> None:
        if preview is not self._shown_preview:
            self._shown_preview = preview
            self._preview_image = QImage.fromData(preview.picture)
        self._result = self._preview_image

    def _session_changed(self) -> None:
        self.refresh()

    def _frames_changed(self, frames: list[int]) -> None:
        self._nothing_at.difference_update(frames)
        self._reader.forget(render_pb2.PICTURE_RESULT, frames)
        self.refresh()

    def _link_changed(self) -> None:
        if self._editor.model.link is Link.CONNECTED:
            self._nothing_at.clear()
            self._reader.forget(render_pb2.PICTURE_RESULT, None)
            self.refresh()

    # Geometry

    def picture_rect(self) -> QRectF:
        """Where the picture lies in the widget."""
        session = self._editor.model.session
        if session is None or not session.clip.size.height:
            return QRectF(self.rect())
        clip = session.clip
        aspect = clip.size.width / clip.size.height
        if clip.pixel_aspect.denominator:
            aspect *= clip.pixel_aspect.numerator / clip.pixel_aspect.denominator
        width = min(self.width(), self.height() * aspect) * self._zoom
        height = width / aspect
        centre = QRectF(self.rect()).center() + self._pan
        return QRectF(centre.x() - width / 2, centre.y() - height / 2, width, height)

    def _wipe_x(self) -> float:
        picture = self.picture_rect()
        return picture.left() + picture.width() * self._wipe

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._scaled.clear()
        self.refresh()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        at_handle = abs(event.position().x() - self._wipe_x()) <= HANDLE_REACH
        if event.button() == Qt.MouseButton.LeftButton and at_handle and self._shows_wipe():
            self._drags_wipe = True
        elif self._zoom > 1.0:
            self._pans_from = event.position() - self._pan

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        x = event.position().x()
        if self._drags_wipe:
            picture = self.picture_rect()
            self._wipe = min(max((x - picture.left()) / picture.width(), 0.0), 1.0)
        elif self._pans_from is not None:
            self._pan = event.position() - self._pans_from
        else:
            at_handle = self._shows_wipe() and abs(x - self._wipe_x()) <= HANDLE_REACH
            shape = Qt.CursorShape.SplitHCursor if at_handle else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
            return
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802
        self._drags_wipe = False
        self._pans_from = None

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        factor = 1.25 ** (event.angleDelta().y() / 120)
        zoom = min(max(self._zoom * factor, 1.0), LARGEST_ZOOM)
        from_centre = event.position() - QRectF(self.rect()).center()
        self._pan = from_centre - (from_centre - self._pan) * (zoom / self._zoom)
        self._zoom = zoom
        if zoom == 1.0:
            self._pan = QPointF()
        self._scaled.clear()
        self.refresh()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), QColor("#0e0e0f"))
            if self._source is None:
                return
            picture = self.picture_rect()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._zoom < 4)
            self._paint_pictures(painter, picture)
            self._paint_labels(painter, picture)

    def _shows_wipe(self) -> bool:
        return self._mode is ViewMode.WIPE and not self._peeks

    def _paint_pictures(self, painter: QPainter, picture: QRectF) -> None:
        source = self._source
        result = self._result or source
        if self._peeks or self._mode is ViewMode.SOURCE:
            self._paint_picture(painter, picture, source, QRectF(self.rect()))
        elif self._mode is ViewMode.RESULT:
            self._paint_picture(painter, picture, result, QRectF(self.rect()))
        else:
            x = self._wipe_x()
            whole = QRectF(self.rect())
            self._paint_picture(painter, picture, source, QRectF(0, 0, x, whole.height()))
            self._paint_picture(
                painter, picture, result, QRectF(x, 0, whole.width() - x, whole.height())
            )
            self._paint_handle(painter, picture, x)

    def _paint_picture(
        self, painter: QPainter, picture: QRectF, image: QImage | None, clip: QRectF
    ) -> None:
        if image is None:
            return
        painter.save()
        painter.setClipRect(clip)
        if self._zoom == 1.0:
            painter.drawPixmap(picture.topLeft().toPoint(), self._pre_scaled(image, picture))
        else:
            painter.drawImage(picture, image)
        painter.restore()

    def _pre_scaled(self, image: QImage, picture: QRectF) -> QPixmap:
        """The image at the size in which it is painted, so that a wipe only copies pixels."""
        key = image.cacheKey()
        if key not in self._scaled:
            if len(self._scaled) >= 4:
                self._scaled.pop(next(iter(self._scaled)))
            ratio = self.devicePixelRatioF()
            scaled = image.scaled(
                (picture.size() * ratio).toSize(),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            self._scaled[key] = QPixmap.fromImage(scaled)
            self._scaled[key].setDevicePixelRatio(ratio)
        return self._scaled[key]

    def _paint_handle(self, painter: QPainter, picture: QRectF, x: float) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = max(picture.top(), 0.0)
        bottom = min(picture.bottom(), float(self.height()))
        painter.setPen(QPen(QColor(255, 255, 255, 230), 1.5))
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))
        centre = QPointF(x, (top + bottom) / 2)
        painter.setBrush(QColor(30, 30, 32, 200))
        painter.drawEllipse(centre, 12, 12)
        for side in (-1, 1):
            tip = centre + QPointF(side * 7, 0)
            painter.drawLine(tip, tip + QPointF(-side * 3, -3))
            painter.drawLine(tip, tip + QPointF(-side * 3, 3))

    def _paint_labels(self, painter: QPainter, picture: QRectF) -> None:
        model = self._editor.model
        area = picture.intersected(QRectF(self.rect())).toRect().adjusted(8, 8, -8, -8)
        shows_source = self._peeks or self._mode is not ViewMode.RESULT
        shows_result = not self._peeks and self._mode is not ViewMode.SOURCE
        if shows_source:
            paint_chip(painter, area, Qt.AlignmentFlag.AlignLeft, "A  SOURCE")
        if shows_result:
            shown = self.result_shown
            side = Qt.AlignmentFlag.AlignRight
            paint_chip(painter, area, side, shown.label, TEXT if shown.is_current else OUT_OF_DATE)
        position = f"{timecode(model.playhead, model.rate)}   F {model.playhead} / {model.last}"
        bottom = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        paint_chip(painter, area, bottom, position)


def paint_chip(
    painter: QPainter, area: QRect, side: Qt.AlignmentFlag, text: str, color: str = TEXT
) -> None:
    """A label on a dark ground in a corner of `area`."""
    size = painter.fontMetrics().size(Qt.TextFlag.TextSingleLine, text) + QSize(14, 8)
    left = area.right() - size.width() if side & Qt.AlignmentFlag.AlignRight else area.left()
    top = area.bottom() - size.height() if side & Qt.AlignmentFlag.AlignBottom else area.top()
    chip = QRect(left, top, size.width(), size.height())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(16, 16, 18, 205))
    painter.drawRoundedRect(chip, 4, 4)
    painter.setPen(QColor(color))
    painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, text)
