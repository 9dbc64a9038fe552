"""The settings of a clip as their annotated descriptors tell them (settings.proto)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from inbetween.v1 import options_pb2, render_pb2, session_pb2, settings_pb2

from panel.model.edits import Value, value_set


@dataclass(frozen=True)
class SettingField:
    """One setting: where it lives, and what a person sees of it."""

    group: str
    name: str
    kind: type[Value]
    shown: options_pb2.Setting

    @property
    def default(self) -> Value:
        return self.kind(getattr(self.shown, self.shown.WhichOneof("default") or "default_string"))

    def value(self, settings: settings_pb2.Settings) -> Value:
        """The value in force for the clip: the default where none is set."""
        if not self.group:
            return self.default
        value = value_set(getattr(settings, self.group), self.name)
        return self.default if value is None else value

    def concerns(self, painter: str) -> bool:
        return not self.shown.painters or painter in self.shown.painters


def setting_fields() -> list[SettingField]:
    """All settings that the panel offers, in the order in which they are shown."""
    return [
        setting
        for group in settings_pb2.Settings.DESCRIPTOR.fields
        for setting in _fields_of(group)
        if not setting.shown.of_host
    ]


def by_section(settings: Iterable[SettingField]) -> dict[str, list[SettingField]]:
    """The settings under their headings, both in the order of the settings."""
    sections: dict[str, list[SettingField]] = {}
    for setting in settings:
        sections.setdefault(setting.shown.section, []).append(setting)
    return sections


def setting_field(name: str) -> SettingField:
    """The setting of this name; names are unique over all groups."""
    return next(setting for setting in setting_fields() if setting.name == name)


def key_settings() -> list[SettingField]:
    """What a key frame may set for itself, in the order in which it is shown: settings of the clip,
    and what only a key frame has, whose group is empty.
    """
    by_name = {setting.name: setting for setting in setting_fields()}
    return [
        by_name.get(field.name) or _setting(field, group="")
        for field in session_pb2.KeyFrame.DESCRIPTOR.fields
        if field.name in by_name or field.GetOptions().HasExtension(options_pb2.setting)
    ]


def key_setting(name: str) -> SettingField:
    """What a key frame may set under this name."""
    return next(setting for setting in key_settings() if setting.name == name)


def is_idle(setting: SettingField, settings: settings_pb2.Settings) -> bool:
    """Whether what it needs is not in use, as a ControlNet whose weight it is."""
    needed = [setting_field(name) for name in setting.shown.needs]
    return bool(needed) and not any(
        _is_wanted(one.value(settings), setting.shown.needs_value) and not is_idle(one, settings)
        for one in needed
    )


def why_idle(setting: SettingField, settings: settings_pb2.Settings) -> str:
    """Why the setting does not act with the others, in a sentence; empty where it acts."""
    painter = painter_of(settings)
    if not setting.concerns(painter):
        return f"The painter “{painter}” does not use this."
    return f"It acts only {_needs(setting)}." if is_idle(setting, settings) else ""


def _is_wanted(value: Value, wanted: Sequence[str]) -> bool:
    return value in wanted if wanted else bool(value)


def _needs(setting: SettingField) -> str:
    needed = [setting_field(name).shown for name in setting.shown.needs]
    labels = {choice.value: choice.label for one in needed for choice in one.choices}
    names = " or ".join(one.label for one in needed)
    values = " or ".join(labels[value] for value in setting.shown.needs_value)
    return f"where {names} is {values}" if values else f"with {names}"


def painter_of(settings: settings_pb2.Settings) -> str:
    """The name of the chosen painter."""
    return str(setting_field("painter").value(settings))


def names_of(painter: render_pb2.Painter | None) -> list[str]:
    """The names that the painter understands; none where it takes any words."""
    if painter is None or not painter.names_only:
        return []
    return [look.name for look in painter.looks]


def painter_named(painters: list[render_pb2.Painter], name: str) -> render_pb2.Painter | None:
    """What the server tells of this painter."""
    return next((painter for painter in painters if painter.name == name), None)


def _fields_of(group: FieldDescriptor) -> Iterator[SettingField]:
    message = group.message_type
    assert message is not None  # noqa: S101 - every field of Settings is a group
    for field in message.fields:
        yield _setting(field, group.name)


def _setting(field: FieldDescriptor, group: str) -> SettingField:
    shown = field.GetOptions().Extensions[options_pb2.setting]
    return SettingField(group, field.name, _KINDS[field.type], shown)


_KINDS: dict[int, type[Value]] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_DOUBLE: float,
    FieldDescriptor.TYPE_BOOL: bool,
}
