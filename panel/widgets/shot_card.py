"""The settings of the clip: a form made from their annotated descriptors."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from panel.editor import Editor
from panel.model.edits import Value
from panel.model.looks import with_look, with_modifier
from panel.model.settings import (
    SettingField,
    by_section,
    names_of,
    setting_field,
    setting_fields,
    why_idle,
)
from panel.widgets.fields import ChoiceField, Field, PromptField, field_for
from panel.widgets.look_strip import LookStrip
from panel.widgets.parts import card, fold, label

LABEL_WIDTH = 118
SECTION_SPACING = 6
FACE = ("prompt", "strength")
"""What is changed again and again: the key frame's card below stays in sight."""


class ShotCard(QWidget):
    """What holds for the whole clip."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._rows: list[tuple[SettingField, QLabel, Field]] = []
        self.looks = LookStrip()
        self._shown_painter = ""
        self.looks.look_chosen.connect(self._choose_look)
        self.looks.modifier_chosen.connect(self._choose_modifier)
        frame, layout = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        layout.addWidget(label("Shot", "title"))
        settings = setting_fields()
        rest = [setting for setting in settings if setting.name not in FACE]
        layout.addLayout(self._form([setting_field(name) for name in FACE]))
        layout.addWidget(
            fold("More settings", self._sections([s for s in rest if not s.shown.advanced]))
        )
        layout.addWidget(fold("Advanced", self._sections([s for s in rest if s.shown.advanced])))
        editor.session_changed.connect(self.refresh)
        editor.info_changed.connect(self.refresh)

    def field(self, name: str) -> Field:
        """The field of a setting."""
        return next(field for setting, _, field in self._rows if setting.name == name)

    def commit(self) -> None:
        """Takes what was typed but not finished yet."""
        for _, _, field in self._rows:
            field.commit()

    def refresh(self) -> None:
        session = self._editor.model.session
        if session is None:
            return
        known = self._editor.model.painter
        self._show_painters()
        self._show_looks()
        for setting, name, field in self._rows:
            if isinstance(field, PromptField) and setting.name == "prompt":
                field.offer(names_of(known))
            field.show_value(setting.value(session.settings))
            self._enable(setting, name, field, why_idle(setting, session.settings))

    def _sections(self, settings: list[SettingField]) -> QVBoxLayout:
        """A form for each section, under its heading."""
        layout = QVBoxLayout()
        layout.setSpacing(7)
        for section, its_settings in by_section(settings).items():
            layout.addSpacing(SECTION_SPACING)
            layout.addWidget(label(section, "title"))
            layout.addLayout(self._form(its_settings))
        return layout

    def _form(self, settings: list[SettingField]) -> QFormLayout:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(7)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for setting in settings:
            name = label(setting.shown.label, "dim")
            name.setFixedWidth(LABEL_WIDTH)
            name.setWordWrap(True)
            field = field_for(setting)
            field.setAccessibleName(setting.shown.label)
            field.edited.connect(self._edit_of(setting))
            form.addRow(name, field)
            if setting.name == "prompt":
                form.addRow(self.looks)
            self._rows.append((setting, name, field))
        return form

    def _edit_of(self, setting: SettingField) -> Callable[[Value], None]:
        return lambda value: self._editor.change_setting(setting, value)

    def _enable(self, setting: SettingField, name: QLabel, field: Field, idle: str) -> None:
        """`idle`: why it does not act; empty where it acts."""
        tip = f"{setting.shown.hint}\n\n{idle}" if idle else setting.shown.hint
        for widget in (name, field):
            widget.setEnabled(not idle)
            widget.setToolTip(tip)

    def _show_looks(self) -> None:
        """The looks of the chosen painter as pictures, unless names are all it takes."""
        painter = self._editor.model.painter
        has_pictures = painter is not None and bool(painter.looks) and not painter.names_only
        self.looks.setVisible(has_pictures)
        if painter is not None and has_pictures and painter.name != self._shown_painter:
            self._shown_painter = painter.name
            self.looks.show_looks(painter.looks, painter.modifiers)

    def _choose_look(self, look: str) -> None:
        painter = self._editor.model.painter
        if painter is not None:
            self._change_prompt(lambda prompt: with_look(prompt, look, painter.looks))

    def _choose_modifier(self, modifier: str) -> None:
        self._change_prompt(lambda prompt: with_modifier(prompt, modifier))

    def _change_prompt(self, change: Callable[[str], str]) -> None:
        self.commit()
        session = self._editor.model.session
        if session is not None:
            prompt = setting_field("prompt")
            self._editor.change_setting(prompt, change(str(prompt.value(session.settings))))

    def _show_painters(self) -> None:
        """The painters as the server describes them, honestly."""
        field = self.field("painter")
        assert isinstance(field, ChoiceField)  # noqa: S101 - settings.proto lists its choices
        for painter in self._editor.model.info.painters:
            index = field.box.findData(painter.name)
            if index >= 0:
                missing = "" if painter.available else " · not available"
                field.box.setItemText(index, f"{painter.label}{missing}")
                tip = painter.description if painter.available else painter.reason
                field.box.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
