"""The settings as command line options, made from their annotations in settings.proto."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

import typer
from google.protobuf.descriptor import FieldDescriptor
from inbetween.v1.options_pb2 import Setting, setting
from inbetween.v1.session_pb2 import KeyFrame
from inbetween.v1.settings_pb2 import Settings
from typer.core import TyperOption

from engine.errors import InvalidValueError
from engine.settings import RenderSettings
from server.settings import settings_of

Value = str | int | float | bool
Command = TypeVar("Command", bound=Callable[..., None])

VALUE_TYPES: Mapping[int, type[Value]] = {
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
    FieldDescriptor.CPPTYPE_BOOL: bool,
}
KEY_FRAMES = "Key frames"
"""The section of the options that place and change key frames."""


def _show_all(context: typer.Context, wanted: bool) -> None:
    """--help leaves out advanced settings."""
    if not wanted:
        return
    for option in context.command.params:
        if isinstance(option, TyperOption):
            option.hidden = False
    typer.echo(context.get_help())
    raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        help="Show all options: for models of your own, ControlNets and fine control too.",
        callback=_show_all,
        is_eager=True,
    ),
]
"""A parameter of a command with setting options."""


@dataclass(frozen=True)
class SettingField:
    """One setting: where it stands in Settings, and what its annotation says."""

    group: str
    name: str
    value_type: type[Value]
    annotation: Setting

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def default(self) -> Value:
        member = self.annotation.WhichOneof("default")
        return self.value_type(getattr(self.annotation, member)) if member else self.value_type()

    def value(self, settings: RenderSettings) -> Value:
        value: Value = getattr(getattr(settings, self.group), self.name)
        return value

    def lacks(self, settings: RenderSettings) -> list[str]:
        """The options of which one would make this setting act; none where it acts."""
        wanted = list(self.annotation.needs_value)
        missing = []
        for needed in (setting_field(name) for name in self.annotation.needs):
            value = needed.value(settings)
            if not (value in wanted if wanted else value):
                missing.append(" ".join([needed.option, "|".join(wanted)]).strip())
            elif lacked := needed.lacks(settings):
                missing += lacked
            else:
                return []
        return missing


def setting_fields() -> list[SettingField]:
    """All settings of a render from a file, in the order of settings.proto."""
    return [
        _setting_field(field, group.name)
        for group in Settings.DESCRIPTOR.fields
        if group.message_type is not None
        for field in group.message_type.fields
        if not field.GetOptions().Extensions[setting].of_host
    ]


def setting_field(name: str) -> SettingField:
    """The setting of this name; names are unique over all groups."""
    return next(field for field in setting_fields() if field.name == name)


def key_fields() -> list[SettingField]:
    """What a key frame may set for itself: settings of the clip, and what only a key frame has,
    whose group is empty.
    """
    by_name = {field.name: field for field in setting_fields()}
    return [
        by_name.get(field.name) or _setting_field(field, group="")
        for field in KeyFrame.DESCRIPTOR.fields
        if field.name in by_name or field.GetOptions().HasExtension(setting)
    ]


def _setting_field(field: FieldDescriptor, group: str) -> SettingField:
    annotation = field.GetOptions().Extensions[setting]
    return SettingField(group, field.name, VALUE_TYPES[field.cpp_type], annotation)


def with_setting_options(command: Command) -> Command:
    """Gives `command(..., **settings)` an option for each setting; those not given are None."""
    return _with_options(command, setting_fields())


def with_picture_options(command: Command) -> Command:
    """The same for the settings that decide how pictures are made, and not where key frames are."""
    return _with_options(command, [field for field in setting_fields() if field.group != "keys"])


def _with_options(command: Command, fields: Iterable[SettingField]) -> Command:
    signature = inspect.signature(command, eval_str=True)
    own = [entry for entry in signature.parameters.values() if entry.kind != entry.VAR_KEYWORD]
    options = [_parameter(field) for field in fields]
    # Typer reads a command's options from its signature.
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return command


def apply_options(settings: Settings, given: Mapping[str, Value | None]) -> Settings:
    """A copy of the settings with the options that were given, which are those that are not None.

    Raises InvalidValueError for an option that has no effect with the others.
    """
    changed = Settings()
    changed.CopyFrom(settings)
    chosen = _chosen(given)
    for field in chosen:
        _set(changed, field, given[field.name])
    for field in chosen:
        check_painter(field, painter_of(changed), field.option)
    whole = settings_of(changed)
    for field in chosen:
        if given[field.name] != "":
            check_use(field, whole, field.option)
    return changed


def setting_paths(given: Mapping[str, Value | None]) -> list[str]:
    """The names of the settings that were given, as UpdateSettings takes them."""
    return [f"{field.group}.{field.name}" for field in _chosen(given)]


def _chosen(given: Mapping[str, Value | None]) -> list[SettingField]:
    return [field for field in setting_fields() if given.get(field.name) is not None]


def _set(settings: Settings, field: SettingField, value: Value | None) -> None:
    try:
        setattr(getattr(settings, field.group), field.name, value)
    except ValueError as error:
        raise InvalidValueError(
            f"{field.option} is {value}: choose a number from {field.annotation.minimum:.10g} to "
            f"{field.annotation.maximum:.10g}."
        ) from error


def painter_of(settings: Settings) -> str:
    """The painter in force: the one that is set, else the default."""
    if settings.translation.HasField("painter"):
        return settings.translation.painter
    return str(setting_field("painter").default)


def _known_painters() -> list[str]:
    return [choice.value for choice in setting_field("painter").annotation.choices]


def check_painter(field: SettingField, painter: str, option: str) -> None:
    """Raises InvalidValueError where the painter does not use what the option sets."""
    painters = list(field.annotation.painters)
    if painters and painter not in painters and painter in _known_painters():
        raise InvalidValueError(
            f"The painter {painter} does not use {option}: leave it out, or choose "
            f"--painter {' or '.join(painters)}."
        )


def check_use(field: SettingField, settings: RenderSettings, option: str) -> None:
    """Raises InvalidValueError where the setting does not act with the others."""
    if lacked := field.lacks(settings):
        raise InvalidValueError(
            f"{option} has no effect without {' or '.join(lacked)}: give that too, or leave it out."
        )


def _parameter(field: SettingField) -> inspect.Parameter:
    on, off = field.option, field.option.replace("--", "--no-")
    names = [f"{on}/{off}" if field.value_type is bool else on]
    if field.annotation.shorter_option:
        names.insert(0, f"--{field.annotation.shorter_option}")
    option = typer.Option(
        *names,
        help=_help(field),
        rich_help_panel=field.annotation.section,
        show_default=False,
        hidden=field.annotation.advanced,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[field.value_type | None, option],
    )


def _shown(value: Value) -> Value:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "empty" if value == "" else value


def _needed(described: Setting) -> str:
    options = " or ".join(setting_field(name).option for name in described.needs)
    return " ".join([options, "|".join(described.needs_value)]).strip()


def _help(field: SettingField) -> str:
    described = field.annotation
    facts = [choice.value for choice in described.choices]
    if field.value_type in (int, float):
        facts.append(f"{described.minimum:g} to {described.maximum:.10g} {described.unit}".strip())
    facts.append(f"default {_shown(field.default)}")
    if described.needs:
        facts.append(f"with {_needed(described)}")
    if described.painters:
        facts.append(f"painter {' or '.join(described.painters)}")
    return f"{described.label}. {described.hint} ({'; '.join(facts)})"
