"""Builds of the native parts with the compiler's sanitizers."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LIBRARIES = {
    "address": "libasan.so",
    "undefined": "libubsan.so",
    "float-cast-overflow": "libubsan.so",  # which "undefined" leaves out
    "thread": "libtsan.so",
}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}
"""Each report ends the program with an exit code that is not 0."""


def require(*sanitizers: str) -> None:
    """Skips the test where the compiler has no runtime for these."""
    for sanitizer in sanitizers:
        if not _has_runtime(sanitizer):
            pytest.skip(f"the compiler c++ has no {LIBRARIES[sanitizer]}: install its sanitizers")


def build(folder: Path, target: str, sanitizers: tuple[str, ...], **options: str) -> None:
    """Builds a target of the project into `folder`, two files at a time and politely."""
    chosen = {"INBETWEEN_SANITIZE": ",".join(sanitizers), **options}
    definitions = [f"-D{name}={value}" for name, value in chosen.items()]
    _run("cmake", "-S", str(REPOSITORY), "-B", str(folder), *definitions)
    _run("nice", "cmake", "--build", str(folder), "--parallel", "2", "--target", *target.split())


def without_address_randomisation() -> list[str]:
    """What to write before a program under the thread sanitizer.

    That of GCC 12 and 13 cannot place its shadow where the system draws more than 28 bits.
    """
    prefix = ["setarch", "--addr-no-randomize"]
    is_allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if is_allowed else []  # Containers may forbid it.


@cache
def _has_runtime(sanitizer: str) -> bool:
    # Where it has none, it answers with the bare name.
    return Path(_run("c++", f"-print-file-name={LIBRARIES[sanitizer]}").strip()).is_absolute()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
