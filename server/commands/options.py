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
from engine.settings import CONTROLNETS, MOVIE, TranslationSettings
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
SHORTER_NAMES = {"key_interval": "--every"}
OF_HOSTS = {"color_space"}
"""What a host must say of its pictures, and a file says of itself."""
ACTS_WITH: Mapping[str, str] = {
    **{
        f"{controlnet}_{part}": controlnet
        for controlnet in CONTROLNETS
        for part in ("image", "weight", "begin", "end")
    },
    "fusion_strength": "pixel_fusion",
    "fusion_detail": "pixel_fusion",
    "pixel_fusion_begin": "pixel_fusion",
    "pixel_fusion_end": "pixel_fusion",
    "shape_fusion_end": "shape_fusion",
    "adain_begin": "adain",
}
"""Settings of something that may be left out or switched off."""
IMAGE_OF = {
    "depth_model": "depth",
    "pose_model": "pose",
    "person_detector": "pose",
    "control_movie": MOVIE,
}
"""Settings that act where a ControlNet looks at such an image."""


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


def setting_fields() -> list[SettingField]:
    """All settings of a render from a file, in the order of settings.proto."""
    return [
        _setting_field(field, group.name)
        for group in Settings.DESCRIPTOR.fields
        if group.message_type is not None
        for field in group.message_type.fields
        if field.name not in OF_HOSTS
    ]


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
    translation = settings_of(changed).translation
    for field in chosen:
        if given[field.name] != "":
            check_use(field.name, translation, field.option)
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
    return str(_painter_field().default)


def _painter_field() -> SettingField:
    return next(field for field in setting_fields() if field.name == "painter")


def _known_painters() -> list[str]:
    return [choice.value for choice in _painter_field().annotation.choices]


def check_painter(field: SettingField, painter: str, option: str) -> None:
    """Raises InvalidValueError where the painter does not use what the option sets."""
    painters = list(field.annotation.painters)
    if painters and painter not in painters and painter in _known_painters():
        raise InvalidValueError(
            f"The painter {painter} does not use {option}: leave it out, or choose "
            f"--painter {' or '.join(painters)}."
        )


def check_use(name: str, settings: TranslationSettings, option: str) -> None:
    """Raises InvalidValueError where what the option belongs to is not in use."""
    if name in ACTS_WITH and not getattr(settings, ACTS_WITH[name]):
        needed = f"--{ACTS_WITH[name].replace('_', '-')}"
        raise InvalidValueError(f"{option} has no effect without {needed}: give both or neither.")
    images = {control.image for control in settings.controls}
    if name in IMAGE_OF and IMAGE_OF[name] not in images:
        raise InvalidValueError(
            f"{option} has no effect, because no ControlNet looks at it: give --controlnet-image "
            f"{IMAGE_OF[name]} too, or leave it out."
        )


def _parameter(field: SettingField) -> inspect.Parameter:
    on, off = field.option, field.option.replace("--", "--no-")
    names = [f"{on}/{off}" if field.value_type is bool else on]
    if field.name in SHORTER_NAMES:
        names.insert(0, SHORTER_NAMES[field.name])
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


def _help(field: SettingField) -> str:
    described = field.annotation
    facts = [choice.value for choice in described.choices]
    if field.value_type in (int, float):
        facts.append(f"{described.minimum:g} to {described.maximum:.10g} {described.unit}".strip())
    facts.append(f"default {_shown(field.default)}")
    if described.painters:
        facts.append(f"painter {' or '.join(described.painters)}")
    return f"{described.label}. {described.hint} ({'; '.join(facts)})"
