"""`inbetween doctor`: what is installed, what is missing, and what to do about it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from engine.errors import InbetweenError
from engine.native.kernels import Kernels, best_instruction_set
from engine.settings import TranslationSettings
from engine.translation.model_files import BASE, CONTROLNET, find_files
from engine.translation.painters import describe_painters, recipe_of
from server import paths
from server.client import connect
from server.launcher import ServerUnavailableError
from server.worker import DEVICE_VARIABLE

GIB = 1 << 30
LOW_DISK_BYTES = 10 * GIB
NO_DISK_BYTES = GIB
BUNDLE = "Inbetween.ofx.bundle"
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
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / GIB:.1f} GiB free for {home}"
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
    """Whether the panel's window system loads; in a process of its own, which may fail."""
    command = [sys.executable, "-c", "import PySide6.QtWidgets as widgets"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if tried.returncode == 0:
        yield Finding(Verdict.OK, "panel", "PySide6 loads")
    else:
        reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Finding(
            Verdict.WARNING, "panel", f"it cannot open ({reason}): run make setup on this machine."
        )


def check_plugin() -> Iterator[Finding]:
    """Where a host will find the effect."""
    for folder in _plugin_folders():
        if (folder / BUNDLE).is_dir():
            yield Finding(Verdict.OK, "effect", str(folder / BUNDLE))
            return
    built = Path.cwd() / "build" / "plugin"
    if (built / BUNDLE).is_dir():
        todo = f"no host looks there: set OFX_PLUGIN_PATH={built}, or link it into /usr/OFX/Plugins"
        yield Finding(Verdict.WARNING, "effect", f"{built / BUNDLE}: {todo}.")
    else:
        yield Finding(Verdict.WARNING, "effect", "not found: run make plugin.")


def _plugin_folders() -> list[Path]:
    chosen = os.environ.get("OFX_PLUGIN_PATH", "")
    standard = {
        "darwin": "/Library/OFX/Plugins",
        "win32": "C:/Program Files/Common Files/OFX/Plugins",
    }.get(sys.platform, "/usr/OFX/Plugins")
    return [*(Path(folder) for folder in chosen.split(os.pathsep) if folder), Path(standard)]


def check_server() -> Iterator[Finding]:
    """Whether a server runs, and what it renders with."""
    socket = paths.socket_path()
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
        todo = "another version: inbetween serve --stop ends it."
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
