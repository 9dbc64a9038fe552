"""The key frames as a list, for the keyboard and for screen readers."""

from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QListView, QVBoxLayout, QWidget

from panel.editor import Editor
from panel.model.timecode import timecode
from panel.model.wording import key_summary
from panel.style import CARD
from panel.widgets.parts import card, label
from panel.widgets.timeline import paint_key

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
ROW_HEIGHT = 27


class KeyListModel(QAbstractListModel):
    """One row for each key frame."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._keys: list[pb.KeyFrame] = []
        editor.session_changed.connect(self._refresh)

    def rowCount(self, parent: Index = ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._keys)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        key = self._keys[index.row()]
        time = timecode(key.index, self._editor.model.rate)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{key.index:>5}   {time}   {key_summary(key)}"
            case Qt.ItemDataRole.AccessibleTextRole | Qt.ItemDataRole.ToolTipRole:
                return f"Key frame {key.index}, {key_summary(key)}"
            case Qt.ItemDataRole.DecorationRole:
                return _key_icon(key)
            case Qt.ItemDataRole.SizeHintRole:
                return QSize(0, ROW_HEIGHT)  # as wide as the list: longer text ends in an ellipsis
        return None

    def key_frame(self, row: int) -> int:
        """The frame of the key frame in this row."""
        return self._keys[row].index

    def row_of(self, frame: int | None) -> int | None:
        """The row of the key frame at this frame."""
        indices = [key.index for key in self._keys]
        return indices.index(frame) if frame in indices else None

    def _refresh(self) -> None:
        session = self._editor.model.session
        keys = list(session.key_frames) if session else []
        if keys == self._keys:
            return
        if [key.index for key in keys] == [key.index for key in self._keys]:
            self._keys = keys
            self.dataChanged.emit(self.index(0), self.index(len(keys) - 1))
            return
        self.beginResetModel()
        self._keys = keys
        self.endResetModel()


class KeyList(QWidget):
    """The list with its heading; what is selected in it is selected everywhere."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        frame, layout = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self._heading = label("Key frames", "title")
        layout.addWidget(self._heading)
        self.keys = KeyListModel(editor)
        self.view = QListView()
        self.view.setModel(self.keys)
        self.view.setUniformItemSizes(True)
        self.view.setMinimumHeight(96)
        self.view.setAccessibleName("Key frames")
        layout.addWidget(self.view, 1)
        self.view.selectionModel().currentChanged.connect(self._row_chosen)
        self.view.clicked.connect(self._row_clicked)
        self.keys.modelReset.connect(self._show_selection)
        editor.selection_changed.connect(self._show_selection)
        editor.session_changed.connect(self._show_count)

    def _row_chosen(self, current: QModelIndex) -> None:
        if current.isValid() and self.keys.key_frame(current.row()) != self._editor.model.selected:
            self._row_clicked(current)

    def _row_clicked(self, row: QModelIndex) -> None:
        self._editor.select(self.keys.key_frame(row.row()))

    def _show_selection(self) -> None:
        row = self.keys.row_of(self._editor.model.selected)
        selection = self.view.selectionModel()
        if row is None:
            selection.clear()
        elif selection.currentIndex().row() != row or not selection.hasSelection():
            flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
            selection.setCurrentIndex(self.keys.index(row), flag)

    def _show_count(self) -> None:
        self._heading.setText(f"Key frames · {len(self._editor.model.keys)}")


def _key_icon(key: pb.KeyFrame) -> QIcon:
    pixmap = QPixmap(18, 18)
    pixmap.fill(QColor(CARD))
    with QPainter(pixmap) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_key(painter, QPointF(9, 9), key)
    return QIcon(pixmap)
