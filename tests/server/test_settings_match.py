"""The annotated protobuf fields and the engine's dataclasses are the same settings."""

from dataclasses import fields
from typing import get_type_hints

import pytest
from google.protobuf.descriptor import FieldDescriptor
from inbetween.v1.options_pb2 import Setting, setting
from inbetween.v1.settings_pb2 import Settings

from engine.motion.estimators import FLOW_ESTIMATORS
from engine.settings import CONTROLNETS, MOVIE, RenderSettings
from engine.translation.controls.registry import PREPROCESSORS
from engine.translation.painters import describe_painters

GROUPS = {
    group.name: group.message_type.fields
    for group in Settings.DESCRIPTOR.fields
    if group.message_type is not None
}
FIELDS = {field.name: (group, field) for group in GROUPS for field in GROUPS[group]}
ALL = [pytest.param(*both, id=name) for name, both in FIELDS.items()]
NUMBERS = [
    pytest.param(group, field, id=name)
    for name, (group, field) in FIELDS.items()
    if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL)
]
TYPES = {
    FieldDescriptor.TYPE_STRING: (str, "default_string"),
    FieldDescriptor.TYPE_INT32: (int, "default_number"),
    FieldDescriptor.TYPE_DOUBLE: (float, "default_number"),
    FieldDescriptor.TYPE_BOOL: (bool, "default_bool"),
}


def annotation(field: FieldDescriptor) -> Setting:
    options = field.GetOptions()
    assert options.HasExtension(setting), f"{field.name} has no annotation"
    return options.Extensions[setting]


def test_the_groups_are_the_same() -> None:
    assert list(GROUPS) == [group.name for group in fields(RenderSettings)]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_the_same_settings_in_the_engine(group: str) -> None:
    in_engine = [field.name for field in fields(getattr(RenderSettings(), group))]
    assert [field.name for field in GROUPS[group]] == in_engine


@pytest.mark.parametrize(("group", "field"), ALL)
def test_type_and_default_are_the_engines(group: str, field: FieldDescriptor) -> None:
    engine_group = getattr(RenderSettings(), group)
    value_type, default_member = TYPES[field.type]
    described = annotation(field)
    assert get_type_hints(type(engine_group))[field.name] is value_type
    assert described.WhichOneof("default") == default_member
    assert getattr(described, default_member) == getattr(engine_group, field.name)


@pytest.mark.parametrize(("group", "field"), ALL)
def test_an_absent_value_can_be_told_from_a_zero(group: str, field: FieldDescriptor) -> None:
    assert field.has_presence


@pytest.mark.parametrize(("group", "field"), ALL)
def test_a_setting_is_described_in_sentences(group: str, field: FieldDescriptor) -> None:
    described = annotation(field)
    assert described.label
    assert described.label[0].isupper()
    assert described.hint.endswith(".")
    assert described.section


@pytest.mark.parametrize(("group", "field"), NUMBERS)
def test_ranges_hold_their_default(group: str, field: FieldDescriptor) -> None:
    described = annotation(field)
    assert described.minimum <= described.default_number <= described.maximum
    assert described.minimum <= described.slider_minimum < described.slider_maximum
    assert described.slider_maximum <= described.maximum
    assert described.slider_minimum <= described.default_number <= described.slider_maximum


@pytest.mark.parametrize(("group", "field"), ALL)
def test_choices_hold_their_default(group: str, field: FieldDescriptor) -> None:
    choices = [choice.value for choice in annotation(field).choices]
    assert len(choices) == len(set(choices))
    assert not choices or annotation(field).default_string in choices


def test_names_are_unique_over_all_groups() -> None:
    names = [field.name for group in GROUPS.values() for field in group]
    assert len(names) == len(set(names))


def test_the_painters_on_offer_are_those_that_exist() -> None:
    _, painter = FIELDS["painter"]
    offered = {choice.value for choice in annotation(painter).choices}
    assert offered == {painter.name for painter in describe_painters()}


def test_the_flow_estimators_on_offer_are_those_that_exist() -> None:
    _, estimator = FIELDS["flow_estimator"]
    assert [choice.value for choice in annotation(estimator).choices] == list(FLOW_ESTIMATORS)


@pytest.mark.parametrize("name", CONTROLNETS)
def test_the_control_images_on_offer_are_those_that_exist(name: str) -> None:
    _, image = FIELDS[f"{name}_image"]
    offered = {choice.value for choice in annotation(image).choices}
    assert offered == {*PREPROCESSORS, MOVIE}


@pytest.mark.parametrize(("group", "field"), ALL)
def test_a_setting_needs_switches_texts_or_choices_that_exist(
    group: str, field: FieldDescriptor
) -> None:
    described = annotation(field)
    assert described.needs or not described.needs_value
    for name in described.needs:
        needed = FIELDS[name][1]
        assert not annotation(needed).of_host
        assert needed.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL)
        assert set(described.needs_value) <= {c.value for c in annotation(needed).choices}


def test_only_texts_name_files_and_only_long_ones_name_several() -> None:
    for _, field in FIELDS.values():
        described = annotation(field)
        if described.HasField("names_file"):
            assert field.type == FieldDescriptor.TYPE_STRING
            assert described.names_file.several is described.multiline


def test_settings_concern_painters_that_exist() -> None:
    named = {painter for _, field in FIELDS.values() for painter in annotation(field).painters}
    assert named <= {painter.name for painter in describe_painters()}
