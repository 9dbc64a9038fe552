"""The lanes of the timeline: what they show of a session, and where.

Only what can be seen is painted, so 500 key frames in 20,000 frames cost no more than those on the
screen.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from panel.model.session import SessionModel
from panel.model.time_scale import TimeScale, tick_step
from panel.model.timecode import timecode
from panel.style import BORDER, DIM, FAINT, PLAYHEAD
from panel.widgets.marks import paint_anchor, paint_key, paint_ring, paint_state

LABEL_WIDTH = 92
RIGHT_MARGIN = 14
TIMECODE_PIXELS = 200
FRAME_NUMBER_PIXELS = 100
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


@dataclass(frozen=True)
class View:
    """The part of a session that the lanes show."""

    model: SessionModel
    scale: TimeScale

    @property
    def right(self) -> float:
        """Where the lanes end."""
        return LABEL_WIDTH + self.scale.width

    @property
    def shown_keys(self) -> list[pb.KeyFrame]:
        """The key frames that can be seen."""
        if self.model.session is None:
            return []
        first, last = self.scale.visible
        keys = self.model.keys
        inside = slice(bisect_left(keys, first), bisect_right(keys, last))
        return list(self.model.session.key_frames[inside])

    def x_of(self, frame: int) -> float:
        """The middle of the frame's cell."""
        return LABEL_WIDTH + self.scale.centre_of(frame)

    def frame_at(self, x: float) -> int:
        return self.scale.frame_at(x - LABEL_WIDTH)

    def point_of(self, frame: int, lane: Lane) -> QPointF:
        """The middle of a frame's cell in a lane."""
        return QPointF(self.x_of(frame), lane.top + lane.height / 2)


def paint_names(painter: QPainter) -> None:
    painter.setPen(QColor(DIM))
    for lane in (CLIP, KEYS, RENDERED):
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(lane.rect(12, LABEL_WIDTH - 12), left, lane.name)


def paint_ruler(painter: QPainter, view: View) -> None:
    model = view.model
    scale = view.scale
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


def paint_rendered(painter: QPainter, view: View) -> None:
    painted_to = -1.0
    for first, last, state in view.model.frames.runs(*view.scale.visible):
        left = LABEL_WIDTH + max(view.scale.x_of(first), 0.0)
        right = LABEL_WIDTH + min(view.scale.x_of(last + 1), view.scale.width)
        if right - painted_to < 1.0 and state != pb.FRAME_STATE_FAILED:
            continue  # thinner than a pixel; only failures must be seen even then
        width = max(right - left, 1.0)
        paint_state(painter, QRectF(left, RENDERED.top + 5, width, 8), state)
        painted_to = right


def paint_keys(painter: QPainter, view: View) -> None:
    model = view.model
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painting = model.painting_frame()
    share = (model.job.step - 1) / model.job.steps if model.job and model.job.steps else 0.0
    line = KEYS.top + KEYS.height / 2
    painter.setPen(QPen(QColor(BORDER), 1))
    painter.drawLine(QPointF(LABEL_WIDTH, line), QPointF(view.right, line))
    for key in view.shown_keys:
        centre = view.point_of(key.index, KEYS)
        paint_key(painter, centre, key, is_selected=key.index == model.selected)
        if key.index == painting:
            paint_ring(painter, centre, share)
        if key.index in model.anchors:
            paint_anchor(painter, centre + ANCHOR_BESIDE)


def paint_overview(painter: QPainter, view: View) -> None:
    """Which part of the clip is in view, where it is not all of it."""
    scale = view.scale
    count = scale.last - scale.first + 1
    shown = scale.width / scale.pixels_per_frame / count
    if shown > 0.999:
        return
    left = LABEL_WIDTH + (scale.start - scale.first) / count * scale.width
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(FAINT))
    painter.drawRoundedRect(QRectF(left, HEIGHT - 8, max(12.0, shown * scale.width), 4), 2, 2)


def paint_playhead(painter: QPainter, view: View) -> None:
    x = view.x_of(view.model.playhead)
    if not LABEL_WIDTH <= x <= view.right + 1:
        return
    painter.setPen(QPen(QColor(PLAYHEAD), 1.5))
    painter.drawLine(QPointF(x, RULER.top + 10), QPointF(x, RENDERED.top + RENDERED.height))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(PLAYHEAD))
    top = RULER.top + 4
    painter.drawPolygon(
        QPolygonF(
            [QPointF(x + dx, top + dy) for dx, dy in ((-6, 0), (6, 0), (6, 8), (0, 14), (-6, 8))]
        )
    )
