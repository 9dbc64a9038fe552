"""Loads the native kernels (kernels/include/inbetween/kernels.h)."""

import ctypes
import sys
from functools import cache
from importlib.resources import as_file, files

from engine.errors import InbetweenError

ABI_VERSION = 1

_NAMES = {"darwin": "libinbetween_kernels.dylib", "win32": "inbetween_kernels.dll"}
_NAME = _NAMES.get(sys.platform, "libinbetween_kernels.so")
_HOW_TO_BUILD = "build it with `pip install --no-deps -e .` in the project's folder."


class NativeSynthesis(ctypes.Structure):
    """`struct inbetween_synthesis`; the header explains each field."""

    _fields_ = (
        ("source_width", ctypes.c_int32),
        ("source_height", ctypes.c_int32),
        ("target_width", ctypes.c_int32),
        ("target_height", ctypes.c_int32),
        ("guide_channels", ctypes.c_int32),
        ("patch_size", ctypes.c_int32),
        ("search_vote_iterations", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("instruction_set", ctypes.c_int32),
        ("seed", ctypes.c_uint32),
        ("uniformity", ctypes.c_float),
        ("style", ctypes.c_void_p),
        ("source_guides", ctypes.c_void_p),
        ("target_guides", ctypes.c_void_p),
        ("guide_weights", ctypes.c_void_p),
        ("initial_xy", ctypes.c_void_p),
        ("picture", ctypes.c_void_p),
        ("source_xy", ctypes.c_void_p),
        ("patch_error", ctypes.c_void_p),
    )


@cache
def load_library() -> ctypes.CDLL:
    """The kernels, loaded once. Raises InbetweenError where they are missing or outdated."""
    try:
        with as_file(files("engine.native").joinpath(_NAME)) as path:
            library = ctypes.CDLL(str(path))
    except OSError as error:
        raise InbetweenError(
            f"The native kernels {_NAME} cannot be loaded ({error}): {_HOW_TO_BUILD}"
        ) from error
    library.inbetween_abi_version.restype = ctypes.c_int32
    if (version := library.inbetween_abi_version()) != ABI_VERSION:
        raise InbetweenError(
            f"The native kernels are of ABI version {version}, {ABI_VERSION} is needed: "
            f"{_HOW_TO_BUILD}"
        )
    library.inbetween_best_instruction_set.restype = ctypes.c_int32
    library.inbetween_synthesize.restype = ctypes.c_int32
    library.inbetween_synthesize.argtypes = (ctypes.POINTER(NativeSynthesis),)
    library.inbetween_last_error.restype = ctypes.c_char_p
    return library
