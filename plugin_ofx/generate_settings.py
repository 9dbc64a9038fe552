"""Writes what the effect needs of the annotations in settings.proto.

The effect links protobuf's lite runtime, which has no descriptors. So the build reads them here
(needs the Python package `protobuf` 4 or newer) and writes

* a descriptor set without options.proto, from which protoc makes lite C++ code, and
* a C++ header with the table of settings: what each shows, and how it enters a Settings message.

    python generate_settings.py ALL.binpb STRIPPED.binpb settings_table.inc
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

SETTINGS = "inbetween.v1.Settings"
OPTIONS_FILES = {"inbetween/v1/options.proto", "google/protobuf/descriptor.proto"}
KINDS = {
    FieldDescriptor.TYPE_STRING: "std::string",
    FieldDescriptor.TYPE_INT32: "int32_t",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def main(all_path: Path, stripped_path: Path, header_path: Path) -> None:
    described = all_path.read_bytes()
    stripped_path.write_bytes(strip_options(described))
    header_path.write_text("\n".join(table(described)) + "\n", encoding="utf-8")


def strip_options(described: bytes) -> bytes:
    """The descriptor set without custom options and the files that only they need."""
    files = descriptor_pb2.FileDescriptorSet.FromString(described)
    kept = [file for file in files.file if file.name not in OPTIONS_FILES]
    for file in kept:
        dependencies = [name for name in file.dependency if name not in OPTIONS_FILES]
        del file.dependency[:]
        file.dependency.extend(dependencies)
        file.ClearField("source_code_info")
        for message in file.message_type:
            for field in message.field:
                field.ClearField("options")
    return descriptor_pb2.FileDescriptorSet(file=kept).SerializeToString(deterministic=True)


def table(described: bytes) -> Iterator[str]:
    """The lines of the header: one entry for each annotated field, in the order of the fields."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    options_class = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("google.protobuf.FieldOptions")
    )
    setting: Any = pool.FindExtensionByName("inbetween.v1.setting")
    yield "// Made from settings.proto by generate_settings.py."
    yield "static const std::vector<Setting> kSettings = {"
    for group in pool.FindMessageTypeByName(SETTINGS).fields:
        for field in group.message_type.fields if group.message_type else ():
            options: Any = options_class.FromString(field.GetOptions().SerializeToString())
            yield from entry(group.name, field, options.Extensions[setting])
    yield "};"


def entry(group: str, field: FieldDescriptor, setting: Any) -> Iterator[str]:
    if field.type not in KINDS:
        raise SystemExit(
            f"Setting {field.name} has a type that no OpenFX parameter holds: choose string, "
            "int32, double or bool."
        )
    kind = KINDS[field.type]
    choices = ", ".join(
        f"{{{text(choice.value)}, {text(choice.label)}}}" for choice in setting.choices
    )
    yield "    {"
    yield f"        .name = {text(field.name)},"
    yield f"        .section = {text(setting.section)},"
    yield f"        .label = {text(setting.label)},"
    yield f"        .hint = {text(setting.hint)},"
    yield f"        .unit = {text(setting.unit)},"
    yield f"        .minimum = {setting.minimum!r},"
    yield f"        .maximum = {setting.maximum!r},"
    yield f"        .slider_minimum = {setting.slider_minimum!r},"
    yield f"        .slider_maximum = {setting.slider_maximum!r},"
    yield f"        .choices = {{{choices}}},"
    yield f"        .painters = {texts(setting.painters)},"
    yield f"        .needs = {texts(setting.needs)},"
    yield f"        .needs_value = {texts(setting.needs_value)},"
    yield f"        .path = {path_of(setting)},"
    yield f"        .multiline = {boolean(setting.multiline)},"
    yield f"        .advanced = {boolean(setting.advanced)},"
    yield f"        .default_value = {kind}({default(field, setting)}),"
    yield (
        "        .put = [](const SettingValue& value, v1::Settings& settings) { "
        f"settings.mutable_{group}()->set_{field.name}(std::get<{kind}>(value)); }},"
    )
    yield (
        "        .get = [](const v1::Settings& settings) -> std::optional<SettingValue> { "
        f"if (!settings.{group}().has_{field.name}()) return std::nullopt; "
        f"return settings.{group}().{field.name}(); }},"
    )
    yield "    },"


def default(field: FieldDescriptor, setting: Any) -> str:
    if field.type == FieldDescriptor.TYPE_STRING:
        return text(setting.default_string)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return boolean(setting.default_bool)
    if field.type == FieldDescriptor.TYPE_INT32:
        return str(int(setting.default_number))
    return repr(setting.default_number)


def path_of(setting: Any) -> str:
    """What a host's file dialog may choose: nothing for a list, which is more than a path, nor
    where numbered files are allowed. Hosts put a frame's number in place of %04d (Nuke, Natron;
    known from manuals and sources, not tried).
    """
    named = setting.names_file
    if not setting.HasField("names_file") or named.several or named.numbered:
        return "PathKind::kNone"
    return "PathKind::kFile" if named.endings or not named.folder else "PathKind::kFolder"


def texts(values: Iterable[str]) -> str:
    """A C++ list of strings."""
    return f"{{{', '.join(text(value) for value in values)}}}"


def text(value: str) -> str:
    """A C++ string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def boolean(value: bool) -> str:
    return "true" if value else "false"


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
