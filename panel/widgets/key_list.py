"""The key frames as a list, for the keyboard and for screen readers."""

from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QListView, QVBoxLayout, QWidget

from panel.editor import Editor
from panel.model.session import Link
from panel.model.timecode import timecode
from panel.model.wording import key_summary, price
from panel.style import CARD
from panel.widgets.marks import paint_key
from panel.widgets.parts import ElidedLabel, button, card, label, row

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
                return f"{key.index:>5}   {time}   {self._summary(key)}"
            case Qt.ItemDataRole.AccessibleTextRole | Qt.ItemDataRole.ToolTipRole:
                return f"Key frame {key.index}, {self._summary(key)}"
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

    def _summary(self, key: pb.KeyFrame) -> str:
        return key_summary(key, is_anchor=key.index in self._editor.model.anchors)

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

    menu_wanted = Signal(QPoint)
    """For the selected key frame, at this place of the screen."""

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
        self.older = ElidedLabel("dim")
        self.renew = button("")
        self.renew.setToolTip(
            "Key frames before them have changed since. Their paintings stay in use until you "
            "paint them again."
        )
        self.renew.clicked.connect(editor.renew_keys)
        line = row(self.older, self.renew)
        line.setStretch(0, 1)
        layout.addLayout(line)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._menu_asked)
        self.view.selectionModel().currentChanged.connect(self._row_chosen)
        self.view.clicked.connect(self._row_clicked)
        self.keys.modelReset.connect(self._show_selection)
        editor.selection_changed.connect(self._show_selection)
        editor.session_changed.connect(self._show_count)
        editor.session_changed.connect(self._show_older)
        editor.estimate_changed.connect(self._show_older)
        editor.job_changed.connect(self._show_older)
        editor.link_changed.connect(self._show_older)
        self._show_older()

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

    def _menu_asked(self, place: QPoint) -> None:
        if self.view.indexAt(place).isValid():
            self.menu_wanted.emit(self.view.viewport().mapToGlobal(place))

    def _show_older(self) -> None:
        """Offers to paint again what was painted against older key frames, with the price."""
        model = self._editor.model
        count, renewal = len(model.older_keys), model.renewal
        self.older.setText(f"{count} against an older key")
        self.renew.setText(f"Paint again{price(renewal)}")
        self.renew.setEnabled(model.link is Link.CONNECTED and not model.is_rendering)
        for widget in (self.older, self.renew):
            widget.setVisible(count > 0)

    def _show_count(self) -> None:
        self._heading.setText(f"Key frames · {len(self._editor.model.keys)}")


def _key_icon(key: pb.KeyFrame) -> QIcon:
    pixmap = QPixmap(18, 18)
    pixmap.fill(QColor(CARD))
    with QPainter(pixmap) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_key(painter, QPointF(9, 9), key)
    return QIcon(pixmap)
