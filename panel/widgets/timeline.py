"""The timeline: ruler, thumbnails, key frames, and what is rendered.

The lanes are painted once into a pixmap and copied until something in them changes; the playhead
and a key frame that is being dragged lie on top. Only what can be seen is painted, so 500 key
frames in 20,000 frames cost no more than those on the screen.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import ceil

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QContextMenuEvent,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from panel.editor import Editor
from panel.model.session import Link, is_against_older
from panel.model.time_scale import TimeScale, tick_step
from panel.model.timecode import timecode
from panel.model.wording import (
    FRAME_STATE_NAMES,
    is_painted_by_hand,
    key_summary,
    key_work,
)
from panel.pictures import PictureReader, PictureRequest, ReadPicture
from panel.style import (
    BORDER,
    CARD,
    DIM,
    FAILED,
    FAINT,
    GENERATED,
    HAND,
    OUT_OF_DATE,
    PLAYHEAD,
    READY,
    RENDERING,
    SOURCE,
    TEXT,
)

LABEL_WIDTH = 92
RIGHT_MARGIN = 14
KEPT_THUMBNAILS = 600
TIMECODE_PIXELS = 200
FRAME_NUMBER_PIXELS = 100
KEY_REACH = 8
DIAMOND = 6.0
ANCHOR_BESIDE = QPointF(9.0, 10.0)
"""Where the playhead does not cover it."""


@dataclass(frozen=True)
class Lane:
    """One band of the timeline."""

    name: str
    top: int
    height: int

    def rect(self, left: float, width: float) -> QRectF:
        return QRectF(left, self.top, width, self.height)

    def contains(self, y: float) -> bool:
        return self.top <= y < self.top + self.height


RULER = Lane("", 4, 24)
CLIP = Lane("Clip", 32, 54)
KEYS = Lane("Key frames", 90, 30)
RENDERED = Lane("Rendered", 124, 18)
HEIGHT = 158


@dataclass
class _KeyDrag:
    """A key frame under the mouse button."""

    index: int
    pressed_x: float
    to_index: int
    is_moving: bool = False


class Timeline(QWidget):
    """Where key frames are placed, and the playhead is moved."""

    menu_wanted = Signal(QPoint)
    """For the selected key frame, at this place of the screen."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._reader = PictureReader(editor.connection, threads=2, kept=KEPT_THUMBNAILS)
        self._scale = TimeScale.fitting(0, 0, 1)
        self._lanes: QPixmap | None = None
        self._drag: _KeyDrag | None = None
        self._scrubs = False
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(400)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Timeline")
        self._reader.arrived.connect(self._take_thumbnail)
        editor.session_changed.connect(self._session_changed)
        editor.frames_changed.connect(self._redraw)
        editor.job_changed.connect(self._redraw)
        editor.selection_changed.connect(self._redraw)
        editor.playhead_moved.connect(self._follow_playhead)
        editor.link_changed.connect(self._link_changed)

    # What others may ask

    @property
    def is_settled(self) -> bool:
        """Whether all thumbnails that can be seen have arrived."""
        return self._reader.is_idle

    def fit(self) -> None:
        """Shows the whole clip."""
        scale = self._scale
        self._set_scale(TimeScale.fitting(scale.first, scale.last, scale.width))

    def point_of(self, frame: int, lane: Lane) -> QPointF:
        """The middle of a frame's cell in a lane."""
        return QPointF(self._x_of(frame), lane.top + lane.height / 2)

    def close_reader(self) -> None:
        self._reader.close()

    # Following the editor

    def _session_changed(self) -> None:
        model = self._editor.model
        if (self._scale.first, self._scale.last) != (model.first, model.last):
            self._scale = TimeScale.fitting(model.first, model.last, self._lane_width())
            self._want_thumbnails()
        self._redraw()

    def _link_changed(self) -> None:
        if self._editor.model.link is Link.CONNECTED:
            self._want_thumbnails()

    def _follow_playhead(self) -> None:
        shown = self._scale.showing(self._editor.model.playhead)
        if shown != self._scale:
            self._set_scale(shown)
        self.update()

    def _take_thumbnail(self, request: PictureRequest, picture: ReadPicture) -> None:  # noqa: ARG002
        self._redraw()

    def _redraw(self) -> None:
        self._lanes = None
        self.update()

    def _set_scale(self, scale: TimeScale) -> None:
        self._scale = scale
        self._want_thumbnails()
        self._redraw()

    # Geometry

    def _lane_width(self) -> float:
        return max(1.0, self.width() - LABEL_WIDTH - RIGHT_MARGIN)

    def _x_of(self, frame: int) -> float:
        return LABEL_WIDTH + self._scale.centre_of(frame)

    def _frame_at(self, x: float) -> int:
        return self._scale.frame_at(x - LABEL_WIDTH)

    def _key_near(self, x: float) -> int | None:
        keys = self._editor.model.keys
        near = keys[
            bisect_left(keys, self._frame_at(x - KEY_REACH)) : bisect_right(
                keys, self._frame_at(x + KEY_REACH)
            )
        ]
        nearest = min(near, key=lambda key: abs(self._x_of(key) - x), default=None)
        if nearest is None or abs(self._x_of(nearest) - x) > KEY_REACH:
            return None
        return nearest

    # Thumbnails

    def _thumbnail_size(self) -> QSize:
        session = self._editor.model.session
        if session is None or not session.clip.size.height:
            return QSize(96, CLIP.height)
        aspect = session.clip.size.width / session.clip.size.height
        return QSize(min(max(round(CLIP.height * aspect), 24), 160), CLIP.height)

    def _thumbnail_frames(self) -> list[int]:
        """The frames whose thumbnails can be seen: evenly spaced, and the same ones when the
        timeline is scrolled.
        """
        step = self._thumbnail_step()
        first, last = self._scale.visible
        start = first - (first - self._scale.first) % step
        return list(range(start, last + 1, step))

    def _thumbnail_step(self) -> int:
        return ceil(self._thumbnail_size().width() / self._scale.pixels_per_frame)

    def _thumbnail_request(self, frame: int) -> PictureRequest:
        size = self._thumbnail_size() * self.devicePixelRatioF()
        return PictureRequest(frame, render_pb2.PICTURE_SOURCE, size.width(), size.height())

    def _want_thumbnails(self) -> None:
        if self._editor.model.session is not None:
            self._reader.want(self._thumbnail_request(f) for f in self._thumbnail_frames())

    # Mouse and wheel

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() != Qt.MouseButton.LeftButton or event.position().x() < LABEL_WIDTH - 6:
            return
        x, y = event.position().x(), event.position().y()
        key = self._key_near(x) if KEYS.contains(y) else None
        if key is not None:
            self._editor.select(key)
            self._drag = _KeyDrag(key, x, key)
        else:
            self._scrubs = True
            self._editor.move_playhead(self._frame_at(x))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        x = event.position().x()
        if self._scrubs:
            self._editor.move_playhead(self._frame_at(x))
        elif self._drag is not None:
            self._drag.is_moving |= abs(x - self._drag.pressed_x) > 3
            if self._drag.is_moving:
                self._drag.to_index = self._frame_at(x)
                self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802
        drag, self._drag = self._drag, None
        self._scrubs = False
        if drag is not None and drag.is_moving:
            self._editor.move_key(drag.index, drag.to_index)
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        x, y = event.position().x(), event.position().y()
        if KEYS.contains(y) and x >= LABEL_WIDTH and self._key_near(x) is None:
            self._editor.add_key(self._frame_at(x))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        at_pointer = event.reason() == QContextMenuEvent.Reason.Mouse
        x, y = event.pos().x(), event.pos().y()
        key = self._key_near(x) if KEYS.contains(y) else None
        if at_pointer and key is not None:
            self._editor.select(key)
            self.menu_wanted.emit(event.globalPos())
        elif not at_pointer and (selected := self._editor.model.selected) is not None:
            self.menu_wanted.emit(self.mapToGlobal(self.point_of(selected, KEYS).toPoint()))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        delta = event.angleDelta()
        turned = delta.y() or delta.x()
        zooms = event.modifiers() & (
            Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier
        )
        if zooms:
            x = event.position().x() - LABEL_WIDTH
            self._set_scale(self._scale.zoomed(x, 1.25 ** (turned / 120)))
        else:
            self._set_scale(self._scale.scrolled(-turned))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._tip_at(event.pos().x(), event.pos().y()))
            return True
        return super().event(event)

    def _tip_at(self, x: float, y: float) -> str:
        model = self._editor.model
        frame = self._frame_at(x)
        if KEYS.contains(y):
            key = self._key_near(x)
            described = next((k for k in self._shown_keys() if k.index == key), None)
            if described is None:
                return "Double-click adds a key frame here"
            summary = key_summary(described, is_anchor=described.index in model.anchors)
            work = key_work(model, described.index)
            return f"Key frame {described.index} · {work or summary}"
        if RENDERED.contains(y):
            return f"Frame {frame}: {FRAME_STATE_NAMES.get(model.frames.at(frame), '')}"
        return f"{timecode(frame, model.rate)} · frame {frame}"

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._set_scale(self._scale.resized(self._lane_width()))

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        if self._lanes is None:
            self._lanes = self._painted_lanes()
        with QPainter(self) as painter:
            painter.drawPixmap(0, 0, self._lanes)
            if self._editor.model.session is not None:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                self._paint_drag(painter)
                self._paint_playhead(painter)

    def _painted_lanes(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        lanes = QPixmap(self.size() * ratio)
        lanes.setDevicePixelRatio(ratio)
        lanes.fill(QColor(CARD))
        with QPainter(lanes) as painter:
            self._paint_names(painter)
            if self._editor.model.session is not None:
                painter.setClipRect(LABEL_WIDTH - 8, 0, self.width() - LABEL_WIDTH + 8, HEIGHT)
                self._paint_ruler(painter)
                self._paint_thumbnails(painter)
                self._paint_rendered(painter)
                self._paint_keys(painter)
                self._paint_overview(painter)
        return lanes

    def _paint_names(self, painter: QPainter) -> None:
        painter.setPen(QColor(DIM))
        for lane in (CLIP, KEYS, RENDERED):
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(lane.rect(12, LABEL_WIDTH - 12), left, lane.name)

    def _paint_ruler(self, painter: QPainter) -> None:
        model = self._editor.model
        scale = self._scale
        first, last = scale.visible
        labelled = tick_step(scale.pixels_per_frame, model.rate, TIMECODE_PIXELS)
        numbered = tick_step(scale.pixels_per_frame, model.rate, FRAME_NUMBER_PIXELS)
        bottom = RULER.top + RULER.height
        for frame in range(first - first % numbered, last + 1, numbered):
            x = LABEL_WIDTH + scale.x_of(frame)
            has_timecode = frame % labelled == 0
            painter.setPen(QColor(DIM if has_timecode else FAINT))
            painter.drawLine(QPointF(x, bottom - (9 if has_timecode else 4)), QPointF(x, bottom))
            text = timecode(frame, model.rate) if has_timecode else str(frame)
            painter.drawText(QPointF(x + 4, bottom - 9), text)

    def _paint_thumbnails(self, painter: QPainter) -> None:
        step = self._thumbnail_step()
        width = step * self._scale.pixels_per_frame
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for frame in self._thumbnail_frames():
            cell = CLIP.rect(LABEL_WIDTH + self._scale.x_of(frame), width - 1)
            painter.fillRect(cell, QColor("#2b2b30"))
            picture = self._reader.cached(self._thumbnail_request(frame))
            if picture is not None and picture.image is not None:
                shown = QSize(round(cell.width()), CLIP.height)
                image = picture.image.scaled(
                    shown.boundedTo(self._thumbnail_size()) if step == 1 else shown,
                    Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                    Qt.TransformationMode.SmoothTransformation,
                )
                visible = QRectF(0, 0, min(cell.width(), image.width()), CLIP.height)
                painter.drawImage(cell.topLeft(), image, visible)

    def _paint_rendered(self, painter: QPainter) -> None:
        painted_to = -1.0
        for first, last, state in self._editor.model.frames.runs(*self._scale.visible):
            left = LABEL_WIDTH + max(self._scale.x_of(first), 0.0)
            right = LABEL_WIDTH + min(self._scale.x_of(last + 1), self._scale.width)
            if right - painted_to < 1.0 and state != pb.FRAME_STATE_FAILED:
                continue  # thinner than a pixel; only failures must be seen even then
            width = max(right - left, 1.0)
            paint_state(painter, QRectF(left, RENDERED.top + 5, width, 8), state)
            painted_to = right

    def _shown_keys(self) -> list[pb.KeyFrame]:
        session = self._editor.model.session
        if session is None:
            return []
        keys = self._editor.model.keys
        first, last = self._scale.visible
        return list(session.key_frames[bisect_left(keys, first) : bisect_right(keys, last)])

    def _paint_keys(self, painter: QPainter) -> None:
        model = self._editor.model
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painting = model.painting_frame()
        share = (model.job.step - 1) / model.job.steps if model.job and model.job.steps else 0.0
        line = KEYS.top + KEYS.height / 2
        painter.setPen(QPen(QColor(BORDER), 1))
        painter.drawLine(QPointF(LABEL_WIDTH, line), QPointF(self.width() - RIGHT_MARGIN, line))
        for key in self._shown_keys():
            centre = self.point_of(key.index, KEYS)
            paint_key(painter, centre, key, is_selected=key.index == model.selected)
            if key.index == painting:
                paint_ring(painter, centre, share)
            if key.index in model.anchors:
                paint_anchor(painter, centre + ANCHOR_BESIDE)

    def _paint_overview(self, painter: QPainter) -> None:
        """Which part of the clip is in view, where it is not all of it."""
        scale = self._scale
        count = scale.last - scale.first + 1
        shown = scale.width / scale.pixels_per_frame / count
        if shown > 0.999:
            return
        left = LABEL_WIDTH + (scale.start - scale.first) / count * scale.width
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(FAINT))
        painter.drawRoundedRect(QRectF(left, HEIGHT - 8, max(12.0, shown * scale.width), 4), 2, 2)

    def _paint_drag(self, painter: QPainter) -> None:
        if self._drag is None or not self._drag.is_moving:
            return
        taken = self._drag.to_index in self._editor.model.keys
        painter.setPen(QPen(QColor(FAILED if taken else TEXT), 1.5, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(255, 255, 255, 40))
        centre = self.point_of(self._drag.to_index, KEYS)
        painter.drawPolygon(diamond(centre, DIAMOND + 2))
        painter.drawText(centre + QPointF(12, -4), str(self._drag.to_index))

    def _paint_playhead(self, painter: QPainter) -> None:
        x = self._x_of(self._editor.model.playhead)
        if not LABEL_WIDTH <= x <= self.width() - RIGHT_MARGIN + 1:
            return
        painter.setPen(QPen(QColor(PLAYHEAD), 1.5))
        painter.drawLine(QPointF(x, RULER.top + 10), QPointF(x, RENDERED.top + RENDERED.height))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(PLAYHEAD))
        top = RULER.top + 4
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(x + dx, top + dy)
                    for dx, dy in ((-6, 0), (6, 0), (6, 8), (0, 14), (-6, 8))
                ]
            )
        )


def diamond(centre: QPointF, radius: float) -> QPolygonF:
    """The shape of a key frame."""
    return QPolygonF(
        [centre + QPointF(x * radius, y * radius) for x, y in ((0, -1), (1, 0), (0, 1), (-1, 0))]
    )


def paint_key(
    painter: QPainter, centre: QPointF, key: pb.KeyFrame, *, is_selected: bool = False
) -> None:
    """A key frame: filled when its painting is current, with a hole when that was painted against
    an older one; hollow when it has none, hollow with a dot when it is out of date.
    """
    color = QColor(HAND if is_painted_by_hand(key) else GENERATED)
    is_older = is_against_older(key)
    is_ready = is_older or key.state == pb.KEY_FRAME_STATE_READY
    if is_selected:
        painter.setPen(QPen(QColor("white"), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolygon(diamond(centre, DIAMOND + 4))
    painter.setPen(QPen(color, 1.6))
    painter.setBrush(color if is_ready else QColor(CARD))
    painter.drawPolygon(diamond(centre, DIAMOND))
    if key.state == pb.KEY_FRAME_STATE_OUT_OF_DATE:
        painter.setBrush(color)
        painter.drawPolygon(diamond(centre, 1.2))
    if is_older:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(CARD))
        painter.drawPolygon(diamond(centre, 3.0))


def paint_anchor(painter: QPainter, centre: QPointF) -> None:
    """Beside a key frame that others are painted against."""
    painter.setPen(QPen(QColor(TEXT), 1.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(centre + QPointF(0, -3.2), 1.2, 1.2)
    painter.drawLine(centre + QPointF(0, -2), centre + QPointF(0, 4))
    painter.drawLine(centre + QPointF(-2, -0.6), centre + QPointF(2, -0.6))
    painter.drawArc(QRectF(centre.x() - 4, centre.y() - 4, 8, 8), 200 * 16, 140 * 16)


def paint_ring(painter: QPainter, centre: QPointF, share: float) -> None:
    """Around a key frame that is being painted; it closes clockwise with its steps."""
    radius = DIAMOND + 5
    ring = QRectF(centre.x() - radius, centre.y() - radius, 2 * radius, 2 * radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(RENDERING).darker(200), 2))
    painter.drawEllipse(ring)
    painter.setPen(QPen(QColor(RENDERING), 2.5))
    painter.drawArc(ring, 90 * 16, round(-360 * 16 * share))


def paint_state(painter: QPainter, bar: QRectF, state: pb.FrameState.ValueType) -> None:
    """A piece of the rendered lane; every state has a pattern of its own beside its colour."""
    if state == pb.FRAME_STATE_MISSING:
        painter.fillRect(QRectF(bar.left(), bar.center().y() - 1, bar.width(), 2), _MISSING)
    elif state == pb.FRAME_STATE_SOURCE:
        painter.fillRect(QRectF(bar.left(), bar.top(), bar.width(), 1.5), _SOURCE)
        painter.fillRect(QRectF(bar.left(), bar.bottom() - 1.5, bar.width(), 1.5), _SOURCE)
    else:
        for brush in _BRUSHES.get(state, ()):
            painter.fillRect(bar, brush)


def _patterned(color: str, pattern: Qt.BrushStyle) -> tuple[QBrush, QBrush]:
    """A pattern over a darker ground of its colour."""
    return QBrush(QColor(color).darker(260)), QBrush(QColor(color), pattern)


_MISSING = QBrush(QColor("#4a4a52"))
_SOURCE = QBrush(QColor(SOURCE))
_BRUSHES: dict[pb.FrameState.ValueType, tuple[QBrush, ...]] = {
    pb.FRAME_STATE_READY: (QBrush(QColor(READY)),),
    pb.FRAME_STATE_RENDERING: _patterned(RENDERING, Qt.BrushStyle.Dense2Pattern),
    pb.FRAME_STATE_OUT_OF_DATE: _patterned(OUT_OF_DATE, Qt.BrushStyle.BDiagPattern),
    pb.FRAME_STATE_FAILED: _patterned(FAILED, Qt.BrushStyle.DiagCrossPattern),
}


def swatch(state: pb.FrameState.ValueType) -> QPixmap:
    """A sample for the legend."""
    pixmap = QPixmap(18, 8)
    pixmap.fill(Qt.GlobalColor.transparent)
    with QPainter(pixmap) as painter:
        paint_state(painter, QRectF(QRect(0, 0, 18, 8)), state)
    return pixmap
