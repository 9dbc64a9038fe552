"""What the effect declares to a host."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from inbetween.v1 import options_pb2
from inbetween.v1.settings_pb2 import Settings

from tests.annotated import (
    SETTINGS,
    WITH_NEEDS,
    Values,
    default_of,
    that_act,
    that_leave_idle,
)
from tests.ofx_host.host import FILTER, GENERAL, Effect, OfxHost

KINDS = {
    FieldDescriptor.TYPE_STRING: "String",
    FieldDescriptor.TYPE_INT32: "Integer",
    FieldDescriptor.TYPE_DOUBLE: "Double",
    FieldDescriptor.TYPE_BOOL: "Boolean",
}


def settings() -> list[tuple[Any, options_pb2.Setting]]:
    return [
        (field, field.GetOptions().Extensions[options_pb2.setting])
        for group in Settings.DESCRIPTOR.fields
        for field in (group.message_type.fields if group.message_type else ())
    ]


def string_mode(setting: options_pb2.Setting) -> str:
    """A host's dialog chooses one file or one folder, and no numbered pictures."""
    named = setting.names_file
    if setting.multiline:
        return "OfxParamStringIsMultiLine"
    if named.endings:
        return "OfxParamStringIsFilePath"
    return "OfxParamStringIsDirectoryPath" if named.folder else "OfxParamStringIsSingleLine"


@pytest.fixture
def loaded(host: OfxHost) -> OfxHost:
    host.load()
    return host


@pytest.mark.parametrize("context", [FILTER, GENERAL])
def test_effect_declares_its_clips_and_parameters_in_each_context(
    loaded: OfxHost, context: str
) -> None:
    described = loaded.describe(context)
    effect = described["effect"]
    assert effect["OfxImageEffectPropSupportedContexts"] == [FILTER, GENERAL]
    assert set(effect["OfxImageEffectPropSupportedPixelDepths"]) == {
        "OfxBitDepthFloat",
        "OfxBitDepthShort",
        "OfxBitDepthByte",
    }
    assert effect["OfxImageEffectPropSupportsTiles"] == [0]
    assert effect["OfxImageEffectPropTemporalClipAccess"] == [1]
    assert described["clips"]["Source"]["OfxImageEffectPropTemporalClipAccess"] == [1]
    assert set(described["clips"]) - {"Mask"} == {"Source", "Output"}


def test_only_the_context_that_can_wire_it_in_offers_a_mask(loaded: OfxHost) -> None:
    assert "Mask" not in loaded.describe(FILTER)["clips"]
    mask = loaded.describe(GENERAL)["clips"]["Mask"]
    assert mask["OfxImageClipPropOptional"] == [1]
    assert mask["OfxImageClipPropIsMask"] == [1]


def test_every_setting_is_a_parameter_with_its_range_and_default(loaded: OfxHost) -> None:
    parameters = loaded.describe()["parameters"]
    for field, setting in settings():
        parameter = parameters[field.name]
        kind = "Choice" if setting.choices else KINDS[field.type]
        assert parameter["OfxParamPropType"] == [f"OfxParamType{kind}"], field.name
        assert parameter["OfxPropLabel"][0].startswith(setting.label)
        assert parameter["OfxParamPropHint"] == [setting.hint]
        assert parameter["OfxParamPropAnimates"] == [0]
        (parent,) = parameter["OfxParamPropParent"]
        if setting.advanced:
            assert parameters[parent]["OfxPropLabel"] == [setting.section]
            assert parameters[parent]["OfxParamPropParent"] == ["advanced"]
        else:
            assert parent == ""
        if setting.choices:
            labels = [choice.label for choice in setting.choices]
            values = [choice.value for choice in setting.choices]
            assert parameter["OfxParamPropChoiceOption"] == labels
            assert parameter["OfxParamPropDefault"] == [values.index(setting.default_string)]
        elif kind == "String":
            assert parameter["OfxParamPropStringMode"] == [string_mode(setting)]
            assert parameter["OfxParamPropDefault"] == [setting.default_string]
        elif kind == "Boolean":
            assert parameter["OfxParamPropDefault"] == [setting.default_bool]
        else:
            assert parameter["OfxParamPropDefault"] == [setting.default_number]
            assert parameter["OfxParamPropMin"] == [setting.minimum]
            assert parameter["OfxParamPropMax"] == [setting.maximum]
            assert parameter["OfxParamPropDisplayMin"] == [setting.slider_minimum]
            assert parameter["OfxParamPropDisplayMax"] == [setting.slider_maximum]


def change(effect: Effect, values: Values) -> None:
    """As a person does it in the host."""
    for name, value in values.items():
        choices = [choice.value for choice in SETTINGS[name].choices]
        held = int(value) if isinstance(value, bool) else value
        effect.set(name, choices.index(str(value)) if choices else held)


def test_a_parameter_is_greyed_out_while_what_it_needs_is_not_in_use(loaded: OfxHost) -> None:
    effect = loaded.create()
    for name in WITH_NEEDS:
        change(effect, that_leave_idle(name))
        assert name not in effect.enabled
        change(effect, {needed: default_of(needed) for needed in SETTINGS[name].needs})
        change(effect, that_act(name))
        assert name in effect.enabled


def test_a_parameter_is_greyed_out_for_a_painter_that_does_not_use_it(loaded: OfxHost) -> None:
    effect = loaded.create()
    for painter in (choice.value for choice in SETTINGS["painter"].choices):
        change(effect, {"painter": painter})
        unused = {name for name, s in SETTINGS.items() if s.painters and painter not in s.painters}
        assert not unused & set(effect.enabled)


def test_buttons_are_offered_and_the_session_is_hidden(loaded: OfxHost) -> None:
    parameters = loaded.describe()["parameters"]
    labels = {
        parameter["OfxPropLabel"][0]
        for parameter in parameters.values()
        if parameter["OfxParamPropType"] == ["OfxParamTypePushButton"]
    }
    assert labels == {
        "Add key here",
        "Remove key here",
        "Open key frames",
        "Render clip",
        "Update from panel",
    }
    assert parameters["advanced"]["OfxParamPropGroupOpen"] == [0]
    assert parameters["session_id"]["OfxParamPropSecret"] == [1]


@pytest.mark.parametrize("missing", ["messages_v1", "messages_v2", "progress", "time_line"])
def test_a_host_may_lack_an_optional_suite(host: OfxHost, missing: str) -> None:
    host.option(**{missing: False})
    host.load()
    assert host.describe()["parameters"]
