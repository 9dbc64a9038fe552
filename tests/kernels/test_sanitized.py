"""The kernels under the compiler's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import sanitizers


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_kernels_stay_inside_their_arrays_and_defined_behaviour(tmp_path: Path) -> None:
    _exercise(tmp_path, "address", "undefined", "float-cast-overflow")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_threads_of_the_kernels_do_not_race(tmp_path: Path) -> None:
    _exercise(tmp_path, "thread", words=("threads",))


def _exercise(folder: Path, *kinds: str, words: tuple[str, ...] = ()) -> None:
    sanitizers.require(*kinds)
    sanitizers.build(folder, "exercise_kernels", kinds)
    prefix = sanitizers.without_address_randomisation() if "thread" in kinds else []
    done = subprocess.run(
        [*prefix, str(folder / "exercise_kernels"), *words],
        env=os.environ | sanitizers.OPTIONS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
