"""Settings as their annotations describe them: what a test of every setting tries."""

from collections.abc import Iterator, Mapping

from inbetween.v1.options_pb2 import Setting, setting
from inbetween.v1.settings_pb2 import Settings

from engine.errors import InvalidValueError
from engine.settings import RenderSettings
from server.settings import settings_of

Value = str | int | float | bool
Values = Mapping[str, Value]

GROUPS = {
    field.name: group.name
    for group in Settings.DESCRIPTOR.fields
    if group.message_type is not None
    for field in group.message_type.fields
}
"""The group of each setting."""
SETTINGS: Mapping[str, Setting] = {
    field.name: field.GetOptions().Extensions[setting]
    for group in Settings.DESCRIPTOR.fields
    if group.message_type is not None
    for field in group.message_type.fields
}
WITH_NEEDS = [name for name, shown in SETTINGS.items() if shown.needs]


def default_of(name: str) -> Value:
    """The engine's, with which a test compares the annotation's."""
    value: Value = getattr(getattr(RenderSettings(), GROUPS[name]), name)
    return value


def another(name: str) -> Value:
    """A value that is not the default: for a number far from it, as far as others allow."""
    return next(value for value in _candidates(name) if _is_allowed(name, value))


def that_act(name: str) -> Values:
    """What must be set besides for this setting to act."""
    shown = SETTINGS[name]
    values: dict[str, Value] = {}
    for needed in shown.needs[:1]:
        values |= that_act(needed)
        if shown.needs_value:
            values[needed] = shown.needs_value[0]
        elif not default_of(needed):
            values[needed] = another(needed)
    return values


def that_leave_idle(name: str) -> Values:
    """What must be set besides for this setting not to act."""
    shown = SETTINGS[name]
    values: dict[str, Value] = {}
    for needed in shown.needs:
        others = [choice.value for choice in SETTINGS[needed].choices]
        unwanted = [value for value in others if value not in shown.needs_value]
        values[needed] = unwanted[0] if unwanted else type(default_of(needed))()
    return values


def settings_with(values: Values) -> Settings:
    """The message in which these are set."""
    message = Settings()
    for name, value in values.items():
        setattr(getattr(message, GROUPS[name]), name, value)
    return message


def _candidates(name: str) -> Iterator[Value]:
    shown, default = SETTINGS[name], default_of(name)
    choices = [choice.value for choice in shown.choices]
    if isinstance(default, bool):
        yield not default
    elif choices:
        yield choices[(choices.index(str(default)) + 1) % len(choices)]
    elif isinstance(default, str):
        yield f"another {name}"
    else:
        ends = sorted(
            (shown.slider_minimum, shown.slider_maximum), key=lambda end: -abs(end - default)
        )
        for end in ends:
            yield from (type(default)(end), type(default)((end + default) / 2))


def _is_allowed(name: str, value: Value) -> bool:
    beside = that_act(name)
    try:
        changed = settings_of(settings_with({**beside, name: value}))
    except InvalidValueError:
        return False
    return changed != settings_of(settings_with(beside))
