"""The timeline: a widget that shows the lanes, and takes gestures on them.

The lanes are painted once into a pixmap and copied until something in them changes; the playhead
and a key frame that is being dragged lie on top.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from panel.editor import Editor
from panel.model.session import Link
from panel.model.time_scale import TimeScale
from panel.model.timecode import timecode
from panel.model.wording import FRAME_STATE_NAMES, key_summary, key_work
from panel.style import CARD, FAILED, TEXT
from panel.widgets.lanes import (
    HEIGHT,
    KEYS,
    LABEL_WIDTH,
    RENDERED,
    RIGHT_MARGIN,
    Lane,
    View,
    paint_keys,
    paint_names,
    paint_overview,
    paint_playhead,
    paint_rendered,
    paint_ruler,
)
from panel.widgets.marks import DIAMOND, diamond
from panel.widgets.thumbnails import Thumbnails

KEY_REACH = 8


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
        self._thumbnails = Thumbnails(editor)
        self._scale = TimeScale.fitting(0, 0, 1)
        self._lanes: QPixmap | None = None
        self._drag: _KeyDrag | None = None
        self._scrubs = False
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(400)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Timeline")
        self._thumbnails.arrived.connect(self._redraw)
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
        return self._thumbnails.is_settled

    def fit(self) -> None:
        """Shows the whole clip."""
        scale = self._scale
        self._set_scale(TimeScale.fitting(scale.first, scale.last, scale.width))

    def point_of(self, frame: int, lane: Lane) -> QPointF:
        """The middle of a frame's cell in a lane."""
        return self._view.point_of(frame, lane)

    def close_reader(self) -> None:
        self._thumbnails.close_reader()

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

    def _redraw(self) -> None:
        self._lanes = None
        self.update()

    def _want_thumbnails(self) -> None:
        self._thumbnails.want(self._scale, self.devicePixelRatioF())

    def _set_scale(self, scale: TimeScale) -> None:
        self._scale = scale
        self._want_thumbnails()
        self._redraw()

    # Geometry

    def _lane_width(self) -> float:
        return max(1.0, self.width() - LABEL_WIDTH - RIGHT_MARGIN)

    @property
    def _view(self) -> View:
        return View(self._editor.model, self._scale)

    def _frame_at(self, x: float) -> int:
        return self._view.frame_at(x)

    def _key_near(self, x: float) -> int | None:
        view, keys = self._view, self._editor.model.keys
        near = keys[
            bisect_left(keys, self._frame_at(x - KEY_REACH)) : bisect_right(
                keys, self._frame_at(x + KEY_REACH)
            )
        ]
        nearest = min(near, key=lambda key: abs(view.x_of(key) - x), default=None)
        if nearest is None or abs(view.x_of(nearest) - x) > KEY_REACH:
            return None
        return nearest

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
            described = next((k for k in self._view.shown_keys if k.index == key), None)
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
                paint_playhead(painter, self._view)

    def _painted_lanes(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        lanes = QPixmap(self.size() * ratio)
        lanes.setDevicePixelRatio(ratio)
        lanes.fill(QColor(CARD))
        with QPainter(lanes) as painter:
            paint_names(painter)
            if self._editor.model.session is not None:
                painter.setClipRect(LABEL_WIDTH - 8, 0, self.width() - LABEL_WIDTH + 8, HEIGHT)
                paint_ruler(painter, self._view)
                self._thumbnails.paint(painter, self._scale, ratio)
                paint_rendered(painter, self._view)
                paint_keys(painter, self._view)
                paint_overview(painter, self._view)
        return lanes

    def _paint_drag(self, painter: QPainter) -> None:
        if self._drag is None or not self._drag.is_moving:
            return
        taken = self._drag.to_index in self._editor.model.keys
        painter.setPen(QPen(QColor(FAILED if taken else TEXT), 1.5, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(255, 255, 255, 40))
        centre = self.point_of(self._drag.to_index, KEYS)
        painter.drawPolygon(diamond(centre, DIAMOND + 2))
        painter.drawText(centre + QPointF(12, -4), str(self._drag.to_index))
