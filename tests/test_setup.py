"""Set-up makes what is missing, and nothing twice: its script with the programs it calls replaced.

The replacements write down how they were called and leave behind what the script looks for.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS, assert_ends, wait_until

REPOSITORY = Path(__file__).parents[1]
PARTS = ("tools", "Makefile", "pyproject.toml", "constraints.txt", "CMakeLists.txt", "protos")
PARTS_BUILT = ("kernels", "plugin_ofx", "tests/ofx_host", "engine", "server", "panel")

PROGRAMS = {
    # Whatever package is asked for is there.
    "dpkg-query": "echo 'install ok installed'",
    "c++": "echo 'c++ 12'",
    "nvidia-smi": "exit 1",
    "cmake": 'echo "cmake $1" >>"$CALLS"; mkdir -p build/plugin',
    "python3": """
if [[ "$*" == "-m venv .venv" ]]; then
  mkdir -p .venv/bin
  cp "$0" .venv/bin/python
  echo "#!$PWD/.venv/bin/python" >.venv/bin/pip
fi
if [[ "$*" == *"pip install"* ]]; then
  echo "pip ${!#}" >>"$CALLS"
  [[ "$*" == *"--no-input"* ]] || echo "pip may ask" >>"$CALLS"
  if read -r answer; then echo "pip heard $answer" >>"$CALLS"; fi
  if [[ -n "${SLOW:-}" ]]; then
    echo $$ >>"$SLOW"
    exec sleep 600
  fi
  if [[ -n "${OFFLINE:-}" ]]; then
    echo "ERROR: No matching distribution found for ${!#}"
    exit 1
  fi
fi
[[ "$*" != "-c import torch" ]]
""",
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what set-up reads, where the programs that it calls are replaced."""
    folder = tmp_path / "a checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for part in (*PARTS, *PARTS_BUILT):
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / part, folder / part)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    (folder / "plugin_ofx" / "libraries" / "build.sh").write_text(
        '#!/bin/bash\necho "libraries" >>"$CALLS"\n[[ -z "${NO_SOURCES:-}" ]]\n'
    )
    script = folder / "tools" / "setup.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3", str(programs / "python3")))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("INBETWEEN_LIBRARIES", raising=False)
    monkeypatch.delenv("INBETWEEN_TORCH", raising=False)
    return folder


def run(checkout: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def set_up(checkout: Path) -> list[str]:
    """What set-up called to make something."""
    calls = Path(os.environ["CALLS"])
    calls.unlink(missing_ok=True)
    done = run(checkout, "make", "setup")
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(calls.read_text().splitlines()) if calls.exists() else []


def test_a_second_set_up_does_nothing(checkout: Path) -> None:
    assert "pip .[dev]" in set_up(checkout)
    assert set_up(checkout) == []


def test_bytecode_that_a_run_leaves_behind_is_no_reason_to_set_up_again(checkout: Path) -> None:
    set_up(checkout)
    for folder in ("plugin_ofx", "tests/ofx_host"):
        (checkout / folder / "__pycache__").mkdir()
        (checkout / folder / "__pycache__" / "host.cpython-311.pyc").write_bytes(b"code")
    assert set_up(checkout) == []


def test_what_make_clean_deletes_is_made_again_and_nothing_else(checkout: Path) -> None:
    set_up(checkout)
    assert run(checkout, "make", "clean").returncode == 0
    assert not (checkout / "build" / "plugin").exists()
    assert set_up(checkout) == ["cmake --build", "cmake -S", "libraries"]


def test_a_change_of_the_effect_leaves_the_environment_alone(checkout: Path) -> None:
    set_up(checkout)
    with (checkout / "plugin_ofx" / "src" / "mask.cpp").open("a") as file:
        file.write("// changed\n")
    assert set_up(checkout) == ["cmake --build", "cmake -S", "libraries"]


def test_a_change_of_the_kernels_is_installed(checkout: Path) -> None:
    set_up(checkout)
    with (checkout / "kernels" / "cpu" / "blend.cpp").open("a") as file:
        file.write("// changed\n")
    assert "pip .[dev]" in set_up(checkout)


def test_a_module_that_was_moved_is_installed_anew(checkout: Path) -> None:
    """The editable installation holds a list of them, and finds no others."""
    module = checkout / "engine" / "plan.py"
    set_up(checkout)
    (checkout / "engine" / "moved").mkdir()
    module.rename(checkout / "engine" / "moved" / "plan.py")
    assert "pip .[dev]" in set_up(checkout)


def test_a_checkout_that_was_moved_is_set_up_anew(checkout: Path) -> None:
    set_up(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    assert "pip .[dev]" in set_up(moved)


def test_without_pytorch_in_reach_set_up_says_what_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFLINE", "1")
    done = run(checkout, "make", "setup")
    assert done.returncode != 0
    assert "No matching distribution found for torch" in done.stderr
    assert "PIP_FIND_LINKS=FOLDER make setup" in done.stderr
    assert "INBETWEEN_TORCH=torch==" in done.stderr
    assert not (checkout / ".venv" / "setup.stamp").exists()


def test_what_set_up_starts_can_ask_nothing(checkout: Path) -> None:
    """A question would stand in a log, and wait for an answer that nobody knows to give."""
    done = subprocess.run(
        ["make", "setup"], cwd=checkout, capture_output=True, text=True, check=False, input="yes\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = Path(os.environ["CALLS"]).read_text()
    assert "pip .[dev]" in calls
    assert "pip may ask" not in calls
    assert "pip heard" not in calls


def test_set_up_fails_where_the_libraries_cannot_be_built(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_SOURCES", "1")
    done = run(checkout, "make", "setup")
    assert done.returncode != 0
    assert "the effect's libraries cannot be built" in done.stderr
    assert not (checkout / "build" / "plugin" / "setup.stamp").exists()


def test_libraries_that_were_made_elsewhere_are_taken(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INBETWEEN_LIBRARIES", str(tmp_path / "libraries"))
    assert "libraries" not in set_up(checkout)


def test_an_interrupted_set_up_leaves_nothing_running(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A shell's background processes do not hear Ctrl-C."""
    started = tmp_path / "started"
    monkeypatch.setenv("SLOW", str(started))
    setup = subprocess.Popen(
        ["make", "setup"],
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A test run in the background is born deaf to it, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
    pip = int(started.read_text())
    os.killpg(setup.pid, signal.SIGINT)
    assert setup.wait(PATIENCE_SECONDS) != 0
    assert_ends(pip)


def test_a_source_that_the_security_mirror_lacks_comes_from_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: the security archive named a zlib of which its mirror held one file of three."""
    programs = {
        "apt-get": """
if [[ "$1" == indextargets ]]; then
  for suite in stable testing stable-security stable-backports; do
    echo "Debian http://archive.example/debian $suite main"
  done
elif [[ "$*" == *" source "* ]]; then
  lists=$(printf '%s\\n' "$@" | sed -n 's/^Dir::Etc::sourcelist=//p')
  ! grep -q -e backports -e stable -e testing "$lists" || exit 1
  touch "${!#}_2.debian.tar.xz"
  if [[ "${!#}" == zlib ]] && grep -q security "$lists"; then
    touch "zlib_2.dsc"
    exit 100
  fi
  touch "${!#}_1.dsc"
fi
""",
        "dpkg-source": '[[ "${@: -2:1}" == *_1.dsc ]] && echo "unpack ${@: -2:1}" >>"$CALLS"',
        "cmake": 'echo "cmake $1" >>"$CALLS"; mkdir -p "$PREFIX.building/prefix"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    prefix, calls = tmp_path / "libraries", tmp_path / "calls"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("PREFIX", str(prefix))
    done = run(REPOSITORY, "plugin_ofx/libraries/build.sh", str(prefix))
    assert done.returncode == 0, done.stdout + done.stderr
    unpacked = [line for line in calls.read_text().splitlines() if line.startswith("unpack")]
    assert [Path(line).name for line in unpacked] == [
        f"{source}_1.dsc" for source in ("grpc", "protobuf", "abseil", "c-ares", "zlib")
    ]
    assert (prefix / "recipe").exists()


def test_a_folder_of_somebody_else_is_not_taken_for_the_libraries(tmp_path: Path) -> None:
    theirs = tmp_path / "notes.txt"
    theirs.write_text("not ours")
    done = run(REPOSITORY, "plugin_ofx/libraries/build.sh", f"{tmp_path}/")
    assert done.returncode != 0
    assert done.stderr == (
        f"libraries: {tmp_path} holds files that this script did not make: name a new or an empty "
        "folder.\n"
    )
    assert list(tmp_path.iterdir()) == [theirs]


def test_without_lists_of_packages_the_libraries_ask_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apt-get", "dpkg-source"):
        (tmp_path / name).write_text("#!/bin/bash\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = run(REPOSITORY, "plugin_ofx/libraries/build.sh", str(tmp_path / "libraries"))
    assert done.returncode != 0
    assert "run apt-get update" in done.stderr
    assert done.stdout == ""
