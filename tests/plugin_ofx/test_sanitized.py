"""The effect and the test host under the compiler's sanitizers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sanitizers

HERE = Path(__file__).parent
UNSUITED = [
    # The sanitizers' runtimes are libraries that the effect does not need otherwise.
    "test_nothing_but_the_c_library_is_needed",
]
WITHOUT_A_SERVER = [
    # gRPC is built without the thread sanitizer, which takes its locks for none.
    "test_effect_is_loaded_again_while_other_instances_render",
    "test_final_renders_end_while_the_server_starts_when_the_host_aborts",
]


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_effect_touches_no_memory_but_its_own_and_leaves_none_behind(tmp_path: Path) -> None:
    _expect_no_report(tmp_path, ("address", "undefined"), f"not ({' or '.join(UNSUITED)})")


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_threads_of_the_host_do_not_race_inside_the_effect(tmp_path: Path) -> None:
    _expect_no_report(tmp_path, ("thread",), " or ".join(WITHOUT_A_SERVER))


def _expect_no_report(folder: Path, kinds: tuple[str, ...], selection: str) -> None:
    """Runs the selected tests of the effect in a build with these sanitizers."""
    sanitizers.require(*kinds)
    build, reports = folder / "build", folder / "reports"
    sanitizers.build(
        build,
        "inbetween_ofx ofx_host",
        kinds,
        CMAKE_BUILD_TYPE="RelWithDebInfo",  # Release would strip the names of functions
        INBETWEEN_KERNELS="OFF",
        INBETWEEN_PLUGIN="ON",
        INBETWEEN_TEST_HOST="ON",
        Python3_EXECUTABLE=sys.executable,
    )
    reports.mkdir()
    environment = os.environ | {"INBETWEEN_OFX_BUILD": str(build)}
    for name, settings in sanitizers.OPTIONS.items():
        environment[name] = f"{settings}:log_path={reports / 'report'}"
    prefix = sanitizers.without_address_randomisation() if "thread" in kinds else []
    options = ["-m", "not long", "-k", selection, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pytest", str(HERE), *options],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [report.read_text() for report in reports.iterdir()] == []
    assert done.returncode == 0, done.stdout
