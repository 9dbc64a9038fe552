"""Colours and the style sheet: Qt's own dark scheme is not honoured everywhere."""

from pathlib import Path
from string import Template

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

WINDOW = "#19191b"
CARD = "#232326"
FIELD = "#161618"
BUTTON = "#303035"
HOVER = "#3a3a40"
BORDER = "#38383e"
TEXT = "#dcdce0"
DIM = "#97979f"
FAINT = "#5c5c64"
ACCENT = "#e9a43b"
READY = "#3fb56b"
RENDERING = "#4a90f5"
OUT_OF_DATE = "#e0952f"
FAILED = "#e5575b"
SOURCE = "#8d8d96"
GENERATED = "#f0bb4e"
HAND = "#4cc0cf"
PLAYHEAD = "#ff5f52"
CHEVRON = Path(__file__).with_name("chevron.svg").as_posix()

_SHEET = Template("""
* { font-size: 13px; color: $TEXT; }
QWidget { background: $WINDOW; }
QLabel, QCheckBox { background: transparent; }
QToolTip { background: $BUTTON; color: $TEXT; border: 1px solid $BORDER; padding: 4px; }
QFrame[card="true"] { background: $CARD; border: 1px solid $BORDER; border-radius: 6px; }
QFrame[card="true"] QWidget { background: $CARD; }
QFrame[card="true"] QLabel { background: transparent; }
QLabel[role="title"] { font-weight: 600; }
QLabel[role="headline"] { font-size: 20px; font-weight: 600; }
QLabel[role="dim"] { color: $DIM; }
QLabel[role="dim"]:disabled, QLabel:disabled { color: $FAINT; }
QPushButton, QToolButton {
  background: $BUTTON; border: 1px solid $BORDER; border-radius: 4px; padding: 5px 10px;
}
QFrame[card="true"] QPushButton, QFrame[card="true"] QToolButton { background: $BUTTON; }
QPushButton:hover, QToolButton:hover { background: $HOVER; }
QFrame[card="true"] QPushButton:hover, QFrame[card="true"] QToolButton:hover { background: $HOVER; }
QPushButton:focus, QToolButton:focus { border-color: $ACCENT; }
QPushButton:checked, QToolButton:checked { background: #48484f; border-color: #6a6a73; }
QPushButton:disabled, QToolButton:disabled { color: $FAINT; }
QPushButton[primary="true"] {
  background: $ACCENT; color: #1d1405; border-color: $ACCENT; font-weight: 600;
}
QFrame[card="true"] QPushButton[primary="true"] { background: $ACCENT; }
QPushButton[primary="true"]:hover,
QFrame[card="true"] QPushButton[primary="true"]:hover { background: #f3b654; }
QPushButton[primary="true"]:disabled,
QFrame[card="true"] QPushButton[primary="true"]:disabled {
  background: $BUTTON; color: $FAINT; border-color: $BORDER;
}
QPushButton[link="true"], QFrame[card="true"] QPushButton[link="true"] {
  background: transparent; border: none; color: $ACCENT; padding: 1px 2px;
  text-decoration: underline;
}
QPushButton[take="true"] { padding: 2px; background: $FIELD; }
QPushButton[take="true"]:checked { border: 2px solid $ACCENT; padding: 1px; }
QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
  background: $FIELD; border: 1px solid $BORDER; border-radius: 4px; padding: 3px 6px;
  selection-background-color: $ACCENT; selection-color: #1d1405;
}
QFrame[card="true"] QLineEdit, QFrame[card="true"] QPlainTextEdit, QFrame[card="true"] QSpinBox,
QFrame[card="true"] QDoubleSpinBox, QFrame[card="true"] QComboBox { background: $FIELD; }
QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
  border-color: $ACCENT;
}
QLineEdit:disabled, QPlainTextEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled,
QComboBox:disabled { color: $FAINT; }
*[inherited="true"] { color: $DIM; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button,
QDoubleSpinBox::down-button { width: 0; border: none; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: url($CHEVRON); width: 12px; height: 12px; }
QComboBox QAbstractItemView {
  background: $BUTTON; border: 1px solid $BORDER; selection-background-color: $HOVER;
}
QSlider { background: transparent; min-height: 18px; }
QSlider::groove:horizontal { height: 3px; background: #45454c; border-radius: 1px; }
QSlider::sub-page:horizontal { background: $ACCENT; border-radius: 1px; }
QSlider::sub-page:horizontal:disabled { background: #45454c; }
QSlider::handle:horizontal {
  width: 12px; height: 12px; margin: -5px 0; border-radius: 6px; background: #d8d8dc;
}
QSlider::handle:horizontal:disabled { background: $FAINT; }
QListView { background: $FIELD; border: 1px solid $BORDER; border-radius: 4px; outline: none; }
QFrame[card="true"] QListView { background: $FIELD; }
QListView::item { padding: 4px 6px; }
QListView::item:selected { background: #4a3a1e; color: $TEXT; }
QProgressBar {
  background: $FIELD; border: 1px solid $BORDER; border-radius: 4px; text-align: center;
  height: 16px;
}
QFrame[card="true"] QProgressBar { background: $FIELD; }
QProgressBar::chunk { background: #2f6fd0; border-radius: 3px; }
QScrollArea { border: none; }
QScrollBar:vertical { width: 8px; background: transparent; }
QScrollBar::handle:vertical { background: #44444b; border-radius: 4px; min-height: 30px; }
QScrollBar:horizontal { height: 8px; background: transparent; }
QScrollBar::handle:horizontal { background: #44444b; border-radius: 4px; min-width: 30px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QMenu { background: $BUTTON; border: 1px solid $BORDER; }
QMenu::item { padding: 5px 24px 5px 12px; }
QMenu::item:selected { background: $HOVER; }
""")


def apply_style(application: QApplication) -> None:
    """Makes every window of the application dark."""
    application.setStyle("Fusion")
    palette = QPalette(QColor(CARD), QColor(WINDOW))
    palette.setColor(QPalette.ColorRole.Text, QColor(TEXT))
    palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(FAINT))
    palette.setColor(QPalette.ColorRole.Base, QColor(FIELD))
    palette.setColor(QPalette.ColorRole.Highlight, QColor(ACCENT))
    application.setPalette(palette)
    application.setStyleSheet(_SHEET.substitute(globals()))
