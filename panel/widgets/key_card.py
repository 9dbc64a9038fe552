"""The selected key frame: its takes, what it sets for itself, and its painting."""

from pathlib import Path

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from panel.editor import Editor
from panel.icons import icon
from panel.model.edits import Value, value_set
from panel.model.session import Link, is_against_older
from panel.model.settings import SettingField, is_idle, key_setting, key_settings, names_of
from panel.model.wording import (
    KEY_STATE_NAMES,
    drift_of,
    drift_text,
    key_work,
    price,
    take_in_use,
)
from panel.pictures import PictureReader, PictureRequest, ReadPicture
from panel.style import OUT_OF_DATE
from panel.widgets.fields import Field, NumberField, PromptField, field_for, narrow
from panel.widgets.parts import (
    ElidedLabel,
    WheelGuard,
    button,
    card,
    fold,
    label,
    row,
    set_property,
)

TAKE_SIZE = QSize(104, 60)
LABEL_WIDTH = 82
KEPT_TAKES = 200
OWN_SETTINGS = "This key only"
SIZE_RULES = (
    ("if smaller or larger: fit", pb.SIZE_RULE_FIT),
    ("if smaller or larger: crop", pb.SIZE_RULE_CROP),
    ("if smaller or larger: refuse", pb.SIZE_RULE_REFUSE),
)
DRIFT = (
    "How far this take has gone from its anchor, over what both frames show. Colour: in steps of "
    "CIE-LAB, of which 2 can just be seen. Structure: mean squared difference once the colours are "
    "matched."
)
LARGE_DRIFT = (
    "This is more than one would want. Look at it beside its anchor: paint it again with another "
    "seed, or mark an anchor nearer to it."
)
PAINTING_FILES = "Paintings (*.png *.jpg *.jpeg *.tif *.tiff *.exr)"


class KeyCard(QWidget):
    """Shows the selected key frame, or how to get one."""

    paint_wanted = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._reader = PictureReader(editor.connection, threads=1, kept=KEPT_TAKES)
        self._reader.arrived.connect(self._take_picture)
        frame, layout = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.title = label(role="title")
        self.state = ElidedLabel("dim")
        self.state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.anchor = _tool("anchor", "Anchor")
        self.anchor.setCheckable(True)
        self.anchor.setToolTip(f"{key_setting('anchor').shown.hint} (A)")
        self.delete = _tool("delete", "Delete key frame")
        self.delete.setToolTip("Delete this key frame; its takes are kept (Del)")
        heading = row(self.title, self.state, self.anchor, self.delete)
        heading.setStretch(1, 1)
        layout.addLayout(heading)
        self.empty = label(
            "Click a diamond to select a key frame, or press M to add one here.", "dim"
        )
        self.empty.setWordWrap(True)
        layout.addWidget(self.empty)
        self.body = QWidget()
        layout.addWidget(self.body)
        self._fill_body()
        self.anchor.clicked.connect(editor.toggle_anchor)
        self.delete.clicked.connect(editor.delete_key)
        editor.session_changed.connect(self.refresh)
        editor.selection_changed.connect(self.refresh)
        editor.job_changed.connect(self._show_job)
        editor.link_changed.connect(self.refresh)
        editor.info_changed.connect(self.refresh)
        editor.estimate_changed.connect(self._show_price)
        self._shown_takes: list[tuple[str, str]] = []
        self.refresh()

    # What others may ask

    @property
    def is_settled(self) -> bool:
        """Whether the pictures of the takes have arrived."""
        return self._reader.is_idle

    @property
    def take_buttons(self) -> list[QPushButton]:
        """The takes, oldest first."""
        return self._takes.findChildren(QPushButton)

    def commit(self) -> None:
        """Takes what was typed but not finished yet."""
        for field in self.fields.values():
            field.commit()

    def import_painting(self) -> None:
        """Asks for a picture file, without holding up anything else."""
        dialog = QFileDialog(self, "Import painting", "", PAINTING_FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.import_file)
        dialog.open()

    def import_file(self, path: str) -> None:
        """Makes this file the painting of the selected key frame."""
        self._editor.import_painting(Path(path), self.size_rule.currentData())

    def close_reader(self) -> None:
        self._reader.close()

    # Building

    def _fill_body(self) -> None:
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        self._takes = QWidget()
        self._take_row = QHBoxLayout(self._takes)
        self._take_row.setContentsMargins(0, 0, 0, 0)
        self._take_row.setSpacing(6)
        self._take_scroll = QScrollArea()
        self._take_scroll.setWidget(self._takes)
        self._take_scroll.setWidgetResizable(True)
        self._take_scroll.horizontalScrollBar().rangeChanged.connect(self._show_used_take)
        self._take_scroll.setFixedHeight(TAKE_SIZE.height() + 40)
        self._take_scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout.addWidget(self._take_scroll)
        self.facts = label(role="dim")
        self.drift = label(role="dim")
        for told in (self.facts, self.drift):
            told.setWordWrap(True)
            layout.addWidget(told)
        self.own = fold(OWN_SETTINGS, self._own_settings())
        self.own.expand(animate=False)
        self.paint = button("Paint key  R", primary=True)
        self.paint.clicked.connect(self.paint_wanted)
        self.import_button = button("Import painting…")
        self.import_button.setIcon(icon("import"))
        self.import_button.clicked.connect(self.import_painting)
        layout.addLayout(row(self.paint, self.new_seed, None))
        self.size_rule = narrow(QComboBox())
        for text, rule in SIZE_RULES:
            self.size_rule.addItem(text, rule)
        self.size_rule.setToolTip(
            "What to do with a painting whose size is not the clip's. Fit: all of it inside the "
            "frame, the source around it. Crop: it fills the frame, and what stands out is cut off."
        )
        self._guard = WheelGuard()
        self._guard.protect(self.size_rule)
        line = row(self.import_button)
        line.addWidget(self.size_rule, 1)
        layout.addLayout(line)
        layout.addWidget(self.own)

    def _own_settings(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(7)
        grid.setColumnStretch(1, 1)
        self.fields: dict[str, Field] = {}
        self.as_clip: dict[str, QPushButton] = {}
        self._names: dict[str, QLabel] = {}
        settings = [setting for setting in key_settings() if setting.kind is not bool]
        for line, setting in enumerate(settings):
            name = setting.name
            field = _field(setting)
            self.fields[name] = field
            field.setToolTip(f"{setting.shown.hint}\n\nHere: for this key frame only.")
            field.setAccessibleName(f"{setting.shown.label} of this key frame")
            as_clip = button("")
            as_clip.setProperty("link", True)
            as_clip.setFixedWidth(74)
            as_clip.clicked.connect(lambda _=False, name=name: self._change(name, None))
            field.edited.connect(lambda value, name=name: self._change(name, value))
            self.as_clip[name] = as_clip
            shown = label(setting.shown.label, "dim")
            shown.setFixedWidth(LABEL_WIDTH)
            shown.setWordWrap(True)
            self._names[name] = shown
            grid.addWidget(shown, line, 0)
            grid.addWidget(field, line, 1)
            grid.addWidget(as_clip, line, 2)
        self.new_seed = button("New seed")
        self.new_seed.setIcon(icon("seed"))
        self.new_seed.setToolTip("Another seed for this key frame: paint it for another take")
        self.new_seed.clicked.connect(self._editor.new_seed)
        return grid

    # Showing

    def refresh(self) -> None:
        key = self._editor.model.selected_key
        self.body.setVisible(key is not None)
        self.anchor.setVisible(key is not None)
        self.delete.setVisible(key is not None)
        self.empty.setVisible(key is None)
        if key is None:
            self.title.setText("No key frame selected")
            self.state.setText("")
            return
        self.title.setText(f"Key frame {key.index}")
        self._show_job()
        self._show_takes(key)
        self._show_facts(key)
        self._show_price()
        for name, field in self.fields.items():
            self._show_own(key, name, field)
        self._show_own_names(key)
        self.paint.setEnabled(self._editor.model.link is Link.CONNECTED)
        painter = self._editor.model.painter
        for widget, name in ((self.new_seed, "seed"), (self.anchor, "anchor")):
            widget.setEnabled(painter is not None and key_setting(name).concerns(painter.name))
        self.anchor.setChecked(key.anchor)

    def _show_job(self) -> None:
        key = self._editor.model.selected_key
        if key is None:
            return
        take = take_in_use(key)
        by = f"{take.painter} · " if take else ""
        state = pb.KEY_FRAME_STATE_READY if is_against_older(key) else key.state
        work = key_work(self._editor.model, key.index)
        self.state.setText(work or by + KEY_STATE_NAMES.get(state, ""))

    def _show_facts(self, key: pb.KeyFrame) -> None:
        """What it is painted against, what is painted against it, and how far it has drifted."""
        facts = []
        if key.index in self._editor.model.anchors:
            facts.append("Anchor of those after it.")
        if is_against_older(key):
            facts.append("Painted against older key frames; it stays in use.")
        elif key.HasField("anchor_index"):
            facts.append(f"Painted against key frame {key.anchor_index}.")
        self.facts.setText(" ".join(facts))
        self.facts.setVisible(bool(facts))
        drift = drift_of(key)
        self.drift.setVisible(drift is not None)
        if drift is not None:
            self.drift.setText(f"{'▲ ' if drift.is_large else ''}{drift_text(drift)}")
            self.drift.setStyleSheet(f"color: {OUT_OF_DATE}" if drift.is_large else "")
            self.drift.setToolTip(f"{DRIFT} {LARGE_DRIFT}" if drift.is_large else DRIFT)

    def _show_price(self) -> None:
        """Of painting it again where that is on offer: each key frame takes the same time."""
        model = self._editor.model
        key, renewal = model.selected_key, model.renewal
        is_older = key is not None and is_against_older(key)
        text = "Paint again  R" if is_older else "Paint key  R"
        if is_older:
            text += price(renewal, of_each=True)
        self.paint.setText(text)

    def _show_own_names(self, key: pb.KeyFrame) -> None:
        """The fold says whether it holds something."""
        own = [
            key_setting(name).shown.label.lower()
            for name in self.fields
            if value_set(key, name) is not None
        ]
        self.own.setText(f"{OWN_SETTINGS} · {len(own)} set" if own else OWN_SETTINGS)
        self.own.toggleButton().setToolTip(", ".join(own))

    def _show_own(self, key: pb.KeyFrame, name: str, field: Field) -> None:
        session = self._editor.model.session
        painter = self._editor.model.painter
        if session is None:
            return
        own, setting = value_set(key, name), key_setting(name)
        clips = setting.value(session.settings)
        if isinstance(field, PromptField):
            field.offer(names_of(painter) if name == "prompt" else [])
            field.show_inherited(str(clips))
            field.show_value("" if own is None else own)
        else:
            field.show_value(clips if own is None else own)
        concerned = painter is None or setting.concerns(painter.name)
        field.setEnabled(concerned)
        for widget in (self._names[name], field, self.as_clip[name]):
            widget.setVisible(own is not None or not is_idle(setting, session.settings))
        back = "as the clip" if setting.group else "clear"
        self.as_clip[name].setEnabled(own is not None and concerned)
        self.as_clip[name].setText("" if own is None else back)
        self.as_clip[name].setToolTip(f"Back to the clip's {setting.shown.label.lower()}: {clips}")
        if isinstance(field, NumberField):
            set_property(field.spin, "inherited", own is None)

    def _show_takes(self, key: pb.KeyFrame) -> None:
        shown = [(take.address, key.take) for take in key.takes]
        requests = [self._request(key.index, take.address) for take in key.takes]
        if shown != self._shown_takes:
            self._shown_takes = shown
            self._rebuild_takes(key)
        self._take_scroll.setVisible(bool(shown))
        self._reader.want(requests)
        self._show_pictures()

    def _rebuild_takes(self, key: pb.KeyFrame) -> None:
        while (item := self._take_row.takeAt(0)) is not None:
            if widget := item.widget():
                # Not yet shown by its layout, it would be shown as a window of its own.
                widget.hide()
                widget.setParent(None)
                widget.deleteLater()
        for number, take in enumerate(key.takes, 1):
            self._take_row.addWidget(self._take_widget(number, take, take.address == key.take))
        self._take_row.addStretch(1)

    def _show_used_take(self) -> None:
        used = next((take for take in self.take_buttons if take.isChecked()), None)
        if used is not None:
            self._take_scroll.ensureWidgetVisible(used, 0, 0)

    def _take_widget(self, number: int, take: pb.Take, is_used: bool) -> QWidget:
        picture = button("")
        picture.setProperty("take", True)
        picture.setProperty("address", take.address)
        picture.setCheckable(True)
        picture.setChecked(is_used)
        picture.setIconSize(TAKE_SIZE)
        picture.setFixedSize(TAKE_SIZE + QSize(8, 8))
        picture.setAccessibleName(f"Take {number}" + (", in use" if is_used else ""))
        picture.setToolTip(
            f"{take.painter} · “{take.prompt}” · strength {take.strength:g} · seed {take.seed}"
        )
        picture.clicked.connect(lambda _=False: self._choose(take.address))
        widget = QWidget()
        layout = QVBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(picture)
        layout.addWidget(
            label(f"take {number} ✓" if is_used else f"take {number}", "" if is_used else "dim")
        )
        return widget

    def _request(self, index: int, address: str) -> PictureRequest:
        size = TAKE_SIZE * self.devicePixelRatioF()
        return PictureRequest(index, render_pb2.PICTURE_TAKE, size.width(), size.height(), address)

    def _take_picture(self, request: PictureRequest, picture: ReadPicture) -> None:  # noqa: ARG002
        self._show_pictures()

    def _show_pictures(self) -> None:
        key = self._editor.model.selected_key
        if key is None:
            return
        for picture in self.take_buttons:
            read = self._reader.cached(self._request(key.index, picture.property("address")))
            if read is not None and read.image is not None:
                picture.setIcon(QIcon(QPixmap.fromImage(read.image)))

    # Gestures

    def _change(self, name: str, value: Value | None) -> None:
        if value == "":
            value = None  # an empty text follows the clip
        text = f"Change {key_setting(name).shown.label.lower()}"
        self._editor.change_key(text, **{name: value})

    def _choose(self, address: str) -> None:
        self._editor.choose_take(address)
        self.refresh()


def _field(setting: SettingField) -> Field:
    """For a value that may be none: an empty text is none."""
    return PromptField(empty_choice=True) if setting.shown.multiline else field_for(setting)


def _tool(name: str, spoken: str) -> QToolButton:
    made = QToolButton()
    made.setIcon(icon(name))
    made.setAccessibleName(spoken)
    return made
