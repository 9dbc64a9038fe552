"""The C ABI of the native kernels; kernels/include/inbetween/kernels.h explains each field."""

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import ClassVar

from engine.errors import InbetweenError, InvalidValueError, OutOfMemoryError

ABI_VERSION = 4

_PATTERNS = {"darwin": "lib{}.dylib", "win32": "{}.dll"}
_PATTERN = _PATTERNS.get(sys.platform, "lib{}.so")
_HOW_TO_BUILD = "build it with `pip install --no-deps -e .` in the project's folder."


def _fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class Struct(ctypes.Structure):
    """A struct of the header, which calls it inbetween_ and the name of the class. All its fields
    are given by name; ctypes alone would let one be missing, or take a name that is none.
    """

    def __init__(self, **values: object) -> None:
        names = {field[0] for field in self._fields_}
        if values.keys() != names:
            differing = ", ".join(sorted(values.keys() ^ names))
            raise TypeError(f"{type(self).__name__} lacks, or does not have: {differing}.")
        super().__init__(**values)


class Parameters(Struct):
    """The parameter of one function."""

    function: ClassVar[str]


class Device(Struct):
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "index threads instruction_set"),
        ("stream", ctypes.c_void_p),
    ]


class Warp(Parameters):
    function = "inbetween_warp"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "image_width image_height width height channels"),
        *_fields(ctypes.c_void_p, "image displacement warped"),
    ]


class Composition(Parameters):
    function = "inbetween_compose"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "width height"),
        *_fields(ctypes.c_void_p, "first first_confidence second second_confidence"),
        *_fields(ctypes.c_void_p, "composed confidence"),
    ]


class Confidence(Parameters):
    function = "inbetween_confidence"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "width height"),
        *_fields(ctypes.c_float, "relative_tolerance absolute_tolerance"),
        ("widened", ctypes.c_int32),
        *_fields(ctypes.c_void_p, "forward backward confidence"),
    ]


class Guides(Parameters):
    function = "inbetween_guides"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "width height"),
        *_fields(ctypes.c_void_p, "source temporal guides"),
    ]


class Synthesis(Struct):
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "source_width source_height target_width target_height"),
        *_fields(ctypes.c_int32, "guide_channels patch_size search_vote_iterations stop_threshold"),
        ("seed", ctypes.c_uint32),
        *_fields(ctypes.c_float, "uniformity position_weight"),
        *_fields(ctypes.c_void_p, "guide_weights style source_guides target_guides"),
        *_fields(ctypes.c_void_p, "to_source confidence temporal_confidence"),
        *_fields(ctypes.c_void_p, "picture source_xy patch_error"),
    ]


class Blend(Parameters):
    function = "inbetween_blend"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "width height left_distance right_distance"),
        *_fields(ctypes.c_void_p, "left_picture left_error right_picture right_error"),
        *_fields(ctypes.c_void_p, "carried choice picture"),
    ]


class Poisson(Parameters):
    function = "inbetween_poisson"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        *_fields(ctypes.c_int32, "width height"),
        ("screening", ctypes.c_float),
        *_fields(ctypes.c_void_p, "picture left_picture right_picture choice solved"),
    ]


class Halves(Parameters):
    function = "inbetween_nearest_half"
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        ("count", ctypes.c_int64),
        *_fields(ctypes.c_void_p, "values halves"),
    ]


STRUCTS = (
    Device,
    Warp,
    Composition,
    Confidence,
    Guides,
    Synthesis,
    Blend,
    Poisson,
    Halves,
)

MOST_SYNTHESES = 4
"""In one call."""


def is_built(name: str) -> bool:
    """Whether there is such a backend, without loading it."""
    return files("engine.native").joinpath(_PATTERN.format(name)).is_file()


@cache
def load_library(name: str) -> ctypes.CDLL:
    """A backend, loaded once. Raises InbetweenError where it is missing or outdated."""
    file = _PATTERN.format(name)
    try:
        with as_file(files("engine.native").joinpath(file)) as path:
            library = ctypes.CDLL(str(path))
    except OSError as error:
        raise InbetweenError(
            f"The native kernels {file} cannot be loaded ({error}): {_HOW_TO_BUILD}"
        ) from error
    if (version := library.inbetween_abi_version()) != ABI_VERSION:
        raise InbetweenError(
            f"The native kernels {file} are of ABI version {version}, {ABI_VERSION} is needed: "
            f"{_HOW_TO_BUILD}"
        )
    _check_sizes(library, file)
    library.inbetween_last_error.restype = ctypes.c_char_p
    library.inbetween_close.restype = None
    library.inbetween_release.restype = None
    return library


def _check_sizes(library: ctypes.CDLL, file: str) -> None:
    """Raises InbetweenError where a struct is another one in the library than here."""
    library.inbetween_size_of.restype = ctypes.c_uint64
    for struct in STRUCTS:
        name = f"inbetween_{struct.__name__.lower()}"
        if (size := library.inbetween_size_of(name.encode())) != ctypes.sizeof(struct):
            raise InbetweenError(
                f"The native kernels {file} have a struct {name} of {size} bytes, "
                f"{ctypes.sizeof(struct)} are needed: {_HOW_TO_BUILD}"
            )


def call(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    """Calls what returns an enum inbetween_status; raises what that stands for."""
    status: int = getattr(library, function)(*arguments)
    if status == 0:
        return
    errors = {1: InvalidValueError, 2: OutOfMemoryError}
    raise errors.get(status, InbetweenError)(library.inbetween_last_error().decode())
