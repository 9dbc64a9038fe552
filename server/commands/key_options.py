"""What `--key "24: prompt-addition=a raised hand, seed=3"` sets for one key frame."""

import re
from collections.abc import Mapping, Sequence

from inbetween.v1.session_pb2 import KeyFrame, Placement

from engine.errors import InvalidValueError
from engine.settings import RenderSettings
from server.commands.options import SettingField, Value, check_painter, check_use, key_fields

OwnValues = Mapping[str, Value | None]
"""Name to value; None: as the clip again."""

EXAMPLE = '"24: prompt-addition=a raised hand, seed=3"'
_BOOLEANS = {"yes": True, "no": False}


def parse_keys_own(texts: Sequence[str]) -> Mapping[int, OwnValues]:
    """What each key frame sets for itself, under its frame."""
    own: dict[int, OwnValues] = {}
    for index, values in map(_parse, texts):
        own[index] = {**own.get(index, {}), **values}
    return own


def check_own_values(own: Mapping[int, OwnValues], settings: RenderSettings) -> None:
    """Raises InvalidValueError for a value that has no effect with the settings of the clip."""
    fields = {field.name: field for field in key_fields()}
    for values in own.values():
        for name, value in values.items():
            option = f"--key with {_spoken(name)}"
            check_painter(fields[name], settings.translation.painter, option)
            if value is not None:
                check_use(fields[name], settings, option)


def with_own_values(key: KeyFrame, values: OwnValues) -> KeyFrame:
    """The key frame with these values, which makes it the person's own."""
    changed = KeyFrame()
    changed.CopyFrom(key)
    for name, value in values.items():
        if value is None:
            changed.ClearField(name)  # type: ignore[arg-type]
        else:
            setattr(changed, name, value)
    if changed != key:
        changed.placement = Placement.PLACEMENT_HAND
    return changed


def _parse(text: str) -> tuple[int, OwnValues]:
    number, _, rest = text.partition(":")
    parts = re.split(r",\s*(?=[\w-]+\s*=)", rest.strip())  # what else has commas is a prompt
    if not number.strip().isdecimal() or not all("=" in part for part in parts):
        raise InvalidValueError(
            f"--key is {text!r}: give the frame and what it sets for itself, for example {EXAMPLE}."
        )
    return int(number), dict(_value_of(part) for part in parts)


def _value_of(part: str) -> tuple[str, Value | None]:
    spoken, _, text = (piece.strip() for piece in part.partition("="))
    fields = {_spoken(field.name): field for field in key_fields()}
    field = fields.get(spoken.replace("_", "-"))
    if field is None:
        raise InvalidValueError(
            f'--key sets "{spoken}", which no key frame has: choose {", ".join(fields)}.'
        )
    return field.name, _read(field, text) if text else None


def _read(field: SettingField, text: str) -> Value:
    wrong = f"--key sets {_spoken(field.name)} to {text!r}"
    try:
        value = _BOOLEANS[text] if field.value_type is bool else field.value_type(text)
    except (KeyError, ValueError) as error:
        wanted = {bool: "yes or no", int: "a whole number"}.get(field.value_type, "a number")
        raise InvalidValueError(f"{wrong}: give {wanted}.") from error
    lowest, highest = field.annotation.minimum, field.annotation.maximum
    if field.value_type in (int, float) and not lowest <= float(value) <= highest:
        raise InvalidValueError(f"{wrong}: choose a number from {lowest:g} to {highest:.10g}.")
    return value


def _spoken(name: str) -> str:
    return name.replace("_", "-")
