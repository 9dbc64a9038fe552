"""Fields for values: one gesture in a field is one `edited`."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QSpinBox,
    QStackedLayout,
    QToolButton,
    QWidget,
)
from superqt import QDoubleSlider

from panel.icons import icon
from panel.model.edits import Value
from panel.model.named_files import with_file
from panel.model.settings import SettingField
from panel.widgets.parts import WheelGuard

TEXT_HEIGHT = 46
SPIN_WIDTH = 92


class Field(QWidget):
    """Shows a value and tells when the person has given another one."""

    edited = Signal(object)

    def show_value(self, value: Value) -> None:
        """Shows a value; this is no edit."""
        raise NotImplementedError

    def commit(self) -> None:
        """Tells of what was typed but not finished yet."""


class ChoiceField(Field):
    """One of a few values."""

    def __init__(self, choices: Sequence[tuple[Value, str]]) -> None:
        super().__init__()
        self.box = narrow(QComboBox())
        for value, text in choices:
            self.box.addItem(text, value)
        _fill(self, self.box)
        self._guard = WheelGuard()
        self._guard.protect(self.box)
        self.box.activated.connect(lambda _: self.edited.emit(self.box.currentData()))

    def show_value(self, value: Value) -> None:
        self.box.setCurrentIndex(self.box.findData(value))


class LineField(Field):
    """A line of text."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self._shown = ""
        _fill(self, self.line)
        self.line.editingFinished.connect(self.commit)

    @property
    def value(self) -> str:
        """What was shown or committed last."""
        return self._shown

    def show_value(self, value: Value) -> None:
        if not (self.line.hasFocus() and self.line.isModified()):
            self._shown = str(value)
            self.line.setText(self._shown)

    def commit(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.line.setModified(False)
            self.edited.emit(self._shown)


class PromptField(Field):
    """Words for a painter; a list to choose from where it understands names only."""

    def __init__(self, *, empty_choice: bool = False) -> None:
        super().__init__()
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.installEventFilter(self)
        self.looks = narrow(QComboBox())
        self._empty_choice = empty_choice
        self._shown = ""
        self._inherited = ""
        self._names: list[str] = []
        self._stack = QStackedLayout()
        self.setLayout(self._stack)
        self._stack.setContentsMargins(0, 0, 0, 0)
        for widget in (self.text, self.looks):
            self._stack.addWidget(widget)
        self._guard = WheelGuard()
        self._guard.protect(self.looks)
        self.looks.activated.connect(lambda _: self.edited.emit(self.looks.currentData()))
        self.offer([])

    @property
    def value(self) -> str:
        """What was shown or committed last."""
        return self._shown

    def offer(self, names: Sequence[str]) -> None:
        """The names the painter understands; none: it takes any words."""
        self._names = list(names)
        self._stack.setCurrentWidget(self.looks if names else self.text)
        self._fit_height()
        self._list_looks()

    def show_inherited(self, value: str) -> None:
        """What holds while this field is empty."""
        self._inherited = value
        self.text.setPlaceholderText(value)
        self._list_looks()

    def show_value(self, value: Value) -> None:
        if not (self.text.hasFocus() and self.text.toPlainText() != self._shown):
            self._shown = str(value)
            if self.text.toPlainText() != self._shown:
                self.text.setPlainText(self._shown)
        self._list_looks()

    def commit(self) -> None:
        typed = self.text.toPlainText()
        if typed != self._shown:
            self._shown = typed
            self.edited.emit(typed)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.FocusOut:
            self.commit()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            is_return = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            if is_return and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.commit()
                return True
        return super().eventFilter(watched, event)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() == QEvent.Type.EnabledChange:
            self._fit_height()

    def _fit_height(self) -> None:
        """One line for a name, and for words that nobody uses; two for words."""
        is_line = bool(self._names) or not self.isEnabled()
        height = self.looks.sizeHint().height() if is_line else TEXT_HEIGHT
        self.text.setFixedHeight(height)
        off, on = Qt.ScrollBarPolicy.ScrollBarAlwaysOff, Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self.text.setVerticalScrollBarPolicy(off if is_line else on)
        self.setFixedHeight(height)

    def _list_looks(self) -> None:
        names = self._names
        if self._shown and self._shown not in names:
            names = [self._shown, *names]
        blocker = QSignalBlocker(self.looks)
        self.looks.clear()
        if self._empty_choice:
            self.looks.addItem(f"{self._inherited} (as the clip)", "")
        for name in names:
            known = name in self._names
            self.looks.addItem(name if known else f"{name} (not a look of this painter)", name)
        self.looks.setCurrentIndex(self.looks.findData(self._shown))
        blocker.unblock()


class FileField(Field):
    """A text that names files or folders, and a button that looks for them."""

    def __init__(self, setting: SettingField) -> None:
        super().__init__()
        self._label = setting.shown.label
        self._named = setting.shown.names_file
        self.text = PromptField() if setting.shown.multiline else LineField()
        self.browse = QToolButton()
        self.browse.setIcon(icon("browse"))
        self.browse.setAccessibleName(f"Browse for {self._label}")
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.browse, 0, Qt.AlignmentFlag.AlignTop)
        self.text.edited.connect(self.edited)
        self._offer_dialogs()

    def show_value(self, value: Value) -> None:
        self.text.show_value(value)

    def commit(self) -> None:
        self.text.commit()

    def choose(self, path: str) -> None:
        """Takes a file or folder as if its name had been typed, behind the others of a list."""
        self.text.commit()
        self.edited.emit(with_file(self.text.value, path, self._named))

    def _offer_dialogs(self) -> None:
        """A menu where a file or a folder may be meant: no dialog shows both."""
        takes_folder = self._named.folder
        takes_file = bool(self._named.endings) or not takes_folder
        if not (takes_file and takes_folder):
            self.browse.clicked.connect(lambda: self._open_dialog(folder=takes_folder))
            return
        menu = QMenu(self.browse)
        menu.addAction("File…", lambda: self._open_dialog(folder=False))
        menu.addAction("Folder…", lambda: self._open_dialog(folder=True))
        self.browse.setMenu(menu)

    def _open_dialog(self, *, folder: bool) -> None:
        endings = " ".join(f"*{ending}" for ending in self._named.endings)
        dialog = QFileDialog(self, self._label, "", f"{self._label} ({endings or '*'})")
        mode = QFileDialog.FileMode.Directory if folder else QFileDialog.FileMode.ExistingFile
        dialog.setFileMode(mode)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.choose)
        dialog.open()


class NumberField(Field):
    """A slider over the usual range beside a number that may leave it."""

    def __init__(self, setting: SettingField) -> None:
        super().__init__()
        shown = setting.shown
        self._kind = setting.kind
        self.spin = _spin(setting)
        self.slider = QDoubleSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.slider.setRange(shown.slider_minimum, shown.slider_maximum)
        self.slider.setSingleStep(1 if setting.kind is int else _step(setting))
        self.slider.setPageStep((shown.slider_maximum - shown.slider_minimum) / 10)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spin)
        self._shown: int | float = 0
        self._guard = WheelGuard()
        self._guard.protect(self.spin, self.slider)
        self.spin.valueChanged.connect(self._typed)
        self.slider.valueChanged.connect(self._slid)
        self.slider.sliderReleased.connect(self.commit)

    def show_value(self, value: Value) -> None:
        if self.slider.isSliderDown():
            return
        self._shown = self._number(float(value))
        self._show_number(self._shown)

    def commit(self) -> None:
        value = self._number(self.spin.value())
        if value != self._shown:
            self._shown = value
            self.edited.emit(value)

    def _typed(self) -> None:
        self._show_number(self._number(self.spin.value()))
        self.commit()

    def _slid(self, value: float) -> None:
        self._show_number(self._number(value))
        if not self.slider.isSliderDown():
            self.commit()

    def _number(self, value: float) -> int | float:
        return round(value) if self._kind is int else round(value, 4)

    def _show_number(self, value: float) -> None:
        blockers = [QSignalBlocker(self.spin), QSignalBlocker(self.slider)]
        self.spin.setValue(value)  # type: ignore[arg-type]
        self.slider.setValue(value)
        for blocker in blockers:
            blocker.unblock()


def field_for(setting: SettingField) -> Field:
    """The field that suits the setting's type and annotation."""
    shown = setting.shown
    if shown.choices:
        return ChoiceField([(choice.value, choice.label) for choice in shown.choices])
    if setting.kind is bool:
        return ChoiceField([(True, "On"), (False, "Off")])
    if shown.HasField("names_file"):
        return FileField(setting)
    if setting.kind is str:
        return PromptField() if shown.multiline else LineField()
    return NumberField(setting)


def narrow(box: QComboBox) -> QComboBox:
    """A box that takes the room it is given, however long its choices are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    return box


def _spin(setting: SettingField) -> QSpinBox | QDoubleSpinBox:
    spin: QSpinBox | QDoubleSpinBox
    if setting.kind is int:
        spin = QSpinBox()
        spin.setRange(int(setting.shown.minimum), int(setting.shown.maximum))
    else:
        spin = QDoubleSpinBox()
        spin.setDecimals(2)
        spin.setRange(setting.shown.minimum, setting.shown.maximum)
        spin.setSingleStep(_step(setting))
    spin.setKeyboardTracking(False)
    spin.setFixedWidth(SPIN_WIDTH)
    spin.setAlignment(Qt.AlignmentFlag.AlignRight)
    if setting.shown.unit:
        spin.setSuffix(f" {setting.shown.unit}")
    return spin


def _step(setting: SettingField) -> float:
    return (setting.shown.slider_maximum - setting.shown.slider_minimum) / 100


def _fill(widget: QWidget, content: QWidget) -> None:
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(content)
