"""`inbetween doctor`: what is installed, what is missing, and what to do about it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from engine.errors import InbetweenError
from engine.native.kernels import Kernels, best_instruction_set
from engine.settings import TranslationSettings
from engine.translation.models.files import BASE, CONTROLNET, find_files
from engine.translation.painters import describe_painters, recipe_of
from server import bundle, paths
from server.bundle import BUNDLE, SEARCH_VARIABLE, Bundle
from server.client import connect
from server.launcher import ServerUnavailableError
from server.limits import BUDGET_VARIABLE, GIB, IDLE_MINUTES, budget_gib, idle_minutes
from server.work.worker import DEVICE_VARIABLE

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
PLATFORM = "QT_QPA_PLATFORM"
SCREEN = (*DISPLAYS, PLATFORM)
WINDOW_SECONDS = 60.0
"""A screen that has not answered by then does not."""

LOW_DISK_BYTES = 10 * GIB
NO_DISK_BYTES = GIB
PACKAGES = (
    "av",
    "diffusers",
    "grpcio",
    "numpy",
    "opencv-python-headless",
    "PySide6-Essentials",
    "torch",
    "transformers",
)


class Verdict(Enum):
    """How well a part is."""

    OK = "ok"
    WARNING = "warn"
    FAILURE = "fail"


COLORS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "red"}


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    part: str
    text: str


def print_findings() -> int:
    """Prints all findings; the exit code is 1 where one of them is a failure."""
    console = Console(highlight=False)
    failed = False
    for check in CHECKS:
        for finding in _guarded(check):
            failed |= finding.verdict is Verdict.FAILURE
            print_finding(console, finding)
    return int(failed)


def print_finding(console: Console, finding: Finding) -> None:
    """One line, its verdict first."""
    console.print(
        Text(f"{finding.verdict.value:5}", COLORS[finding.verdict]),
        Text(f"{finding.part}: {finding.text}"),
        soft_wrap=True,
    )


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except InbetweenError as error:
        yield Finding(Verdict.FAILURE, _name(check), str(error))
    except Exception as error:  # noqa: BLE001 - a broken part is what a doctor is there to report
        yield Finding(Verdict.FAILURE, _name(check), f"{type(error).__name__}: {error}")


def _name(check: Callable[[], Iterator[Finding]]) -> str:
    return check.__name__.removeprefix("check_")


def check_versions() -> Iterator[Finding]:
    """The packages that Inbetween is made of."""
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding(Verdict.OK, "inbetween", f"{version('inbetween')}, {system}")
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    yield Finding(Verdict.OK, "packages", ", ".join(found))
    if missing:
        yield Finding(
            Verdict.FAILURE, "packages", f"{', '.join(missing)} missing: install Inbetween again."
        )


def check_disk() -> Iterator[Finding]:
    """Room for results and takes."""
    home = paths.home_folder()
    existing = next(path for path in (home, *home.parents) if os.path.lexists(path))
    if not existing.is_dir():
        todo = "set INBETWEEN_HOME to a folder of yours."
        yield Finding(Verdict.FAILURE, "disk", f"{existing} is no folder: {todo}")
        return
    free = shutil.disk_usage(existing).free
    kept = f"at most {budget_gib():g} GiB for what can be made again ({BUDGET_VARIABLE})"
    text = f"{free / GIB:.1f} GiB free for {home}, {kept}"
    if not os.access(existing, os.W_OK):
        todo = "it cannot be written: set INBETWEEN_HOME to a folder of yours."
        yield Finding(Verdict.FAILURE, "disk", f"{home}: {todo}")
    elif free < NO_DISK_BYTES:
        yield Finding(Verdict.FAILURE, "disk", f"{text}: make room, or set INBETWEEN_HOME.")
    elif free < LOW_DISK_BYTES:
        yield Finding(Verdict.WARNING, "disk", f"{text}: long clips need more.")
    else:
        yield Finding(Verdict.OK, "disk", text)


def check_kernels() -> Iterator[Finding]:
    """The native kernels, and what they run on."""
    yield Finding(Verdict.OK, "kernels", f"they load, with {best_instruction_set().name}")
    chosen = os.environ.get(DEVICE_VARIABLE, "auto")
    name = Kernels.open(chosen).name
    yield Finding(Verdict.OK, "propagation", f"on {name} ({DEVICE_VARIABLE}={chosen})")


def check_painters() -> Iterator[Finding]:
    """What can paint key frames here."""
    for painter in describe_painters():
        name = f"painter {painter.name}"
        if not painter.available:
            yield Finding(Verdict.WARNING, name, painter.reason)
            continue
        try:
            recipe_of(TranslationSettings(painter=painter.name))
        except InbetweenError as error:
            yield Finding(Verdict.WARNING, name, str(error))
        else:
            looks = ", ".join(look.name for look in painter.looks)
            yield Finding(Verdict.OK, name, f"ready: {looks}" if looks else "ready")


def check_models() -> Iterator[Finding]:
    """Whether the models that the diffusion painter uses by default are whole."""
    settings = TranslationSettings()
    for kind, model in ((BASE, settings.model), (CONTROLNET, settings.controlnet)):
        folder = find_files(kind, model).folder
        yield Finding(Verdict.OK, kind.setting, f"{model}, built in, at {folder}")


def check_panel() -> Iterator[Finding]:
    """Whether the panel can open a window where it would; without a screen, whether it could."""
    if any(os.environ.get(name) for name in SCREEN) or sys.platform != "linux":
        opened, text = _open_window(os.environ)
        verdict = Verdict.OK if opened else Verdict.FAILURE
        yield Finding(verdict, "panel", f"a window opens on {text}" if opened else text)
        return
    opened, text = _open_window({**os.environ, PLATFORM: "offscreen"})
    if opened:
        todo = f"no screen here ({' and '.join(DISPLAYS)} are not set), which the panel needs"
        yield Finding(Verdict.WARNING, "panel", f"{todo}; off-screen a window opens")
    else:
        yield Finding(Verdict.FAILURE, "panel", text)


def _open_window(environment: Mapping[str, str]) -> tuple[bool, str]:
    """Tried in a process of its own, which may fail: the platform of the window, or the problem."""
    try:
        tried = subprocess.run(
            [sys.executable, "-m", "panel", "--check"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=WINDOW_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        screen = ", ".join(f"{name}={environment[name]}" for name in SCREEN if name in environment)
        return False, (
            f"no window opened within {WINDOW_SECONDS:g} seconds ({screen or 'the usual screen'}): "
            "see whether other programs open windows there, or log in anew."
        )
    opened = tried.returncode == 0
    said = tried.stdout if opened else tried.stderr
    return opened, (said.strip().splitlines() or ["it ends without a word"])[-1]


def check_plugin() -> Iterator[Finding]:
    """Where a host will find the effect, and whether it works there."""
    searched = bundle.searched_folders()
    folders = dict.fromkeys([*searched, bundle.user_folder()])
    installed = [Bundle(folder / BUNDLE) for folder in folders]
    there = [each for each in installed if each.is_there]
    for each in there:
        yield _plugin_finding(each, is_searched=each.path.parent in searched)
    if there:
        return
    own = bundle.own_bundle()
    if own is not None:
        todo = "no editor looks there: inbetween install-plugin puts it where they do."
        yield Finding(Verdict.WARNING, "effect", f"{own.path}: {todo}")
    else:
        yield Finding(Verdict.WARNING, "effect", "not found: in a checkout, make plugin builds it.")


def _plugin_finding(installed: Bundle, *, is_searched: bool) -> Finding:
    """The gravest thing that is to be said of it."""
    own = bundle.own_bundle()
    is_built = installed.path.resolve() == bundle.built_bundle().path.resolve()
    again = "make plugin builds it anew." if is_built else "inbetween install-plugin puts it anew."

    def told(verdict: Verdict, text: str) -> Finding:
        return Finding(verdict, "effect", f"{installed.path} {text}")

    if not installed.is_inbetween:
        return told(Verdict.FAILURE, f"holds no effect, or leads nowhere: {again}")
    if problem := installed.load_problem():
        return told(Verdict.FAILURE, f"does not load ({problem}): {again}")
    command = installed.command
    if not os.access(command, os.X_OK):
        return told(Verdict.FAILURE, f"starts {command}, which is not there: {again}")
    if not command.samefile(bundle.own_command()):
        return told(Verdict.WARNING, f"starts {command}, which is another installation: {again}")
    if own is not None and not installed.has_the_library_of(own):
        return told(Verdict.WARNING, f"is of another version than {own.path}: {again}")
    if not is_searched:
        todo = f"log in again, or export {SEARCH_VARIABLE}={installed.path.parent}"
        return told(Verdict.WARNING, f"loads; editors started from here do not look there: {todo}")
    return told(Verdict.OK, "loads")


def check_server() -> Iterator[Finding]:
    """Whether a server runs, and what it renders with."""
    socket = paths.socket_path()
    idle_minutes(IDLE_MINUTES)  # Raises what no server would start with.
    try:
        with connect(start=False) as client:
            info = client.server_info()
    except ServerUnavailableError:
        yield Finding(Verdict.OK, "server", f"not running; starts when needed, at {socket}")
        return
    text = f"{info.version} runs at {socket} on {info.device}"
    if info.version == version("inbetween"):
        yield Finding(Verdict.OK, "server", text)
    else:
        todo = "another version: inbetween server stop ends it."
        yield Finding(Verdict.WARNING, "server", f"{text}, {todo}")


def check_processor() -> Iterator[Finding]:
    """The processor and the graphics card."""
    flags = _cpu_flags()
    vectors = [name for name in ("avx2", "fma", "avx512f", "asimd") if name in flags]
    text = f"{os.cpu_count()} threads, {', '.join(vectors) or platform.machine()}"
    yield Finding(Verdict.OK, "processor", text)

    import torch

    card = shutil.which("nvidia-smi")
    if torch.cuda.is_available():
        yield Finding(Verdict.OK, "graphics card", torch.cuda.get_device_name())
    elif card:
        todo = "PyTorch here is built without CUDA, or the driver does not answer: see nvidia-smi."
        yield Finding(Verdict.WARNING, "graphics card", todo)
    else:
        todo = "none: Stable Diffusion takes minutes a key frame, all else works."
        yield Finding(Verdict.WARNING, "graphics card", todo)


def _cpu_flags() -> set[str]:
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return set()
    lines = facts.read_text().splitlines()
    return {
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    }


CHECKS = (
    check_versions,
    check_processor,
    check_kernels,
    check_painters,
    check_models,
    check_panel,
    check_plugin,
    check_server,
    check_disk,
)
