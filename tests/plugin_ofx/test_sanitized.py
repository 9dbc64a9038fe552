"""The effect and the test host under the compiler's sanitizers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sanitizers

HERE = Path(__file__).parent
UNSUITED = (
    # The sanitizers' runtimes are libraries that the effect does not need otherwise.
    "test_nothing_but_the_c_library_is_needed",
)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_effect_touches_no_memory_but_its_own_and_leaves_none_behind(tmp_path: Path) -> None:
    sanitizers.require("address", "undefined")
    build, reports = tmp_path / "build", tmp_path / "reports"
    sanitizers.build(
        build,
        "inbetween_ofx ofx_host",
        ("address", "undefined"),
        CMAKE_BUILD_TYPE="RelWithDebInfo",  # Release would strip the names of functions
        INBETWEEN_KERNELS="OFF",
        INBETWEEN_PLUGIN="ON",
        INBETWEEN_TEST_HOST="ON",
        Python3_EXECUTABLE=sys.executable,
    )
    reports.mkdir()
    done = _run_the_tests_of_the_effect(build, reports)
    assert [report.read_text() for report in reports.iterdir()] == []
    assert done.returncode == 0, done.stdout


def _run_the_tests_of_the_effect(build: Path, reports: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"INBETWEEN_OFX_BUILD": str(build)}
    for name, options in sanitizers.OPTIONS.items():
        environment[name] = f"{options}:log_path={reports / 'report'}"
    unsuited = " or ".join(UNSUITED)
    selection = ["-m", "not long", "-k", f"not ({unsuited})", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(HERE), *selection],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
