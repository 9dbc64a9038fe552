"""Settings messages to the engine's settings and back, field by field of the same name.

What a value may be stands in the annotations of settings.proto.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, get_type_hints

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from inbetween.v1.options_pb2 import Setting, setting
from inbetween.v1.settings_pb2 import Settings

from engine.errors import InvalidValueError
from engine.settings import RenderSettings

TEXT_LIMIT = 10_000

Group = TypeVar("Group")


def settings_of(message: Settings) -> RenderSettings:
    """The settings of a message; an absent field has its default.

    Raises InvalidValueError for a value that is not allowed.
    """
    groups = {
        group.name: _group_of(getattr(message, group.name), group_type)
        for group, group_type in _groups()
    }
    return RenderSettings(**groups)


def settings_message(settings: RenderSettings) -> Settings:
    """The message of the settings, with every field set."""
    message = Settings()
    for group, _ in _groups():
        target = getattr(message, group.name)
        for field in target.DESCRIPTOR.fields:
            setattr(target, field.name, getattr(getattr(settings, group.name), field.name))
    return message


def changed_settings(
    settings: RenderSettings, message: Settings, changed: Sequence[str]
) -> RenderSettings:
    """`settings` with those named in `changed` as the message has them.

    Raises InvalidValueError for a name that no setting has, and as `settings_of`.
    """
    for path in changed:
        if not FieldMask(paths=[path]).IsValidForDescriptor(Settings.DESCRIPTOR):
            raise InvalidValueError(
                f'There is no setting "{path}" to change: name it as settings.proto does, for '
                'example "translation.prompt".'
            )
    source, merged = Settings(), settings_message(settings)
    source.CopyFrom(message)
    for group, _ in _groups():
        getattr(source, group.name).SetInParent()  # MergeMessage leaves out what an absent one has.
    FieldMask(paths=changed).MergeMessage(source, merged, replace_message_field=True)
    return settings_of(merged)


def check_setting(name: str, value: str | float) -> None:
    """Raises InvalidValueError when the setting cannot have this value."""
    described = _annotations()[name]
    if isinstance(value, str):
        check_text(name, value, [choice.value for choice in described.choices])
    elif isinstance(value, bool):
        return
    elif not (math.isfinite(value) and described.minimum <= value <= described.maximum):
        raise InvalidValueError(
            f"{name} is {value:.10g}: choose a number from {described.minimum:.10g} to "
            f"{described.maximum:.10g}."
        )


def merge_changes(
    settings: RenderSettings, before: RenderSettings, now: RenderSettings
) -> RenderSettings:
    """`settings` with every field that differs between `before` and `now` as it is now."""
    groups = {}
    for group in fields(RenderSettings):
        old, new = getattr(before, group.name), getattr(now, group.name)
        values = {
            field.name: getattr(new, field.name)
            if getattr(new, field.name) != getattr(old, field.name)
            else getattr(getattr(settings, group.name), field.name)
            for field in fields(new)
        }
        groups[group.name] = type(new)(**values)
    return RenderSettings(**groups)


def _group_of(message: Message, group_type: type[Group]) -> Group:
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if message.HasField(field.name):
            values[field.name] = getattr(message, field.name)
            check_setting(field.name, values[field.name])
    return group_type(**values)


def check_text(name: str, value: str, choices: Sequence[str] = ()) -> None:
    """Raises InvalidValueError for what is none of the choices, and for an endless text."""
    if choices and value not in choices:
        raise InvalidValueError(f'{name} is "{value}": choose {" or ".join(choices)}.')
    if len(value) > TEXT_LIMIT:
        raise InvalidValueError(f"{name} has {len(value)} characters: {TEXT_LIMIT} are allowed.")


@cache
def _groups() -> list[tuple[FieldDescriptor, type[Any]]]:
    types = get_type_hints(RenderSettings)
    return [(group, types[group.name]) for group in Settings.DESCRIPTOR.fields]


@cache
def _annotations() -> Mapping[str, Setting]:
    return {
        field.name: field.GetOptions().Extensions[setting]
        for group, _ in _groups()
        for field in getattr(Settings(), group.name).DESCRIPTOR.fields
    }
