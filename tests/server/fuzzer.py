"""Messages that no client would make: right ones, with a few values that are likely to hurt."""

import math
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from inbetween.v1.options_pb2 import setting

MOST_REPEATED = 2000
INTEGERS = (-(2**31), -1, 0, 1, 12, 1000, 16_384, 16_385, 999_999, 1_000_001, 2**31 - 1)
NUMBERS = (0.0, -0.0, 0.5, -1.0, 1e308, 5e-324, math.nan, math.inf, -math.inf)
CHOICES = (-1, 0, 1, 2, 3, 4, 99)
BYTE_COUNTS = (0, 1, 24_575, 24_577, (1 << 20) + 1)
TEXTS = (
    "",
    "no such thing",
    "painted.exr",
    "../../etc/passwd",
    "/",
    "/dev/zero",
    "/no/such/clip.%04d.png",
    "%s%n%d{0}",
    "a\0b",
    "/a\0b.png",
    "\u202e\U0001f3a8\ud7ff",
    "/" + "x" * 300,
    "/" + "y/" * 3000,
    "/%0999999999d.png",
    "z" * 10_001,
)


class Fuzzer:
    """Everything follows from its seed."""

    def __init__(self, seed: str, right: Mapping[str, Sequence[Any]]) -> None:
        """`right`: values by the name of the field, which get through most checks."""
        self._chance = random.Random(seed)
        self._right = right
        self._wrong = 0.0
        self._is_small = True

    def requests(self, method: MethodDescriptor) -> list[bytes]:
        """One, or several for a method that takes a stream; some of them damaged."""
        self._wrong = self._chance.choice((0.0, 0.02, 0.05, 0.1, 0.4))
        self._is_small = True
        count = self._chance.randrange(8) if method.client_streaming else 1
        made = [
            self._message(method.input_type, number).SerializeToString() for number in range(count)
        ]
        return [self._damaged(data) if self._chance.random() < 0.1 else data for data in made]

    def _message(self, descriptor: Descriptor, position: int = 0) -> Message:
        message = GetMessageClass(descriptor)()
        chosen = {oneof.name: self._member(oneof.fields, position) for oneof in descriptor.oneofs}
        for field in descriptor.fields:
            oneof = field.containing_oneof
            if oneof is not None and chosen[oneof.name] is not field:
                continue
            is_optional = oneof is not None and len(oneof.fields) == 1
            if self._chance.random() < (0.3 if is_optional else 1 - self._wrong / 4):
                self._fill(message, field, max(0, position - 1))
        return message

    def _member(self, fields: Sequence[FieldDescriptor], position: int) -> FieldDescriptor:
        """Of a oneof: mostly by its place in a stream, as the first of a stream describes it."""
        if self._chance.random() < 0.1 + self._wrong:
            return self._chance.choice(fields)
        return fields[min(position, len(fields) - 1)]

    def _fill(self, message: Message, field: FieldDescriptor, position: int) -> None:
        if field.is_repeated:
            many = self._is_small and self._chance.random() < self._wrong / 2
            self._is_small &= not many  # Many of many would be refused for their size.
            count = MOST_REPEATED if many else self._chance.randrange(4)
            getattr(message, field.name).extend(self._value(field) for _ in range(count))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self._message(field.message_type, position))
        else:
            with suppress(ValueError):  # wider than the field
                setattr(message, field.name, self._value(field))

    def _value(self, field: FieldDescriptor) -> Any:
        if field.message_type is not None:
            return self._message(field.message_type)
        if self._chance.random() >= self._wrong:
            return self._right_value(field)
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
                return self._chance.randbytes(self._chance.choice(BYTE_COUNTS))
            case FieldDescriptor.CPPTYPE_STRING:
                return self._chance.choice(TEXTS)
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return self._chance.choice(NUMBERS)
            case FieldDescriptor.CPPTYPE_ENUM:
                return self._chance.choice(CHOICES)
            case _:
                return self._chance.choice(INTEGERS)

    def _right_value(self, field: FieldDescriptor) -> Any:
        if field.name in self._right:
            return self._chance.choice(self._right[field.name])
        described = field.GetOptions().Extensions[setting]
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return described.default_string
        if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            return self._chance.uniform(described.minimum, described.maximum)
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return 1
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._chance.random() < 0.5
        return round(described.default_number)

    def _damaged(self, data: bytes) -> bytes:
        """With bits flipped, cut off, or bytes repeated or put in."""
        damaged = bytearray(data)
        for _ in range(self._chance.randrange(1, 4)):
            at = self._chance.randrange(len(damaged) + 1)
            match self._chance.randrange(4):
                case 0 if at < len(damaged):
                    damaged[at] ^= 1 << self._chance.randrange(8)
                case 1:
                    del damaged[at:]
                case 2:
                    damaged[at:at] = damaged[: self._chance.randrange(64)]
                case _:
                    damaged[at:at] = self._chance.randbytes(self._chance.randrange(16))
        return bytes(damaged)
