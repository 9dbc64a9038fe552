"""The marks of key frames and of what is rendered, as every list, lane and legend paints them."""

from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPixmap, QPolygonF

from panel.model.session import is_against_older
from panel.model.wording import is_painted_by_hand
from panel.style import (
    CARD,
    FAILED,
    GENERATED,
    HAND,
    OUT_OF_DATE,
    READY,
    RENDERING,
    SOURCE,
    TEXT,
)

DIAMOND = 6.0
"""From the middle of a key frame to its corners."""


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
