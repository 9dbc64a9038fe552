"""Nothing but what other systems have too is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import MovieMaker

TAKEN_AWAY = Path(__file__).with_name("without_linux.py")
IMPORT_ALL = """
import importlib, pkgutil, os, socket, signal
assert not hasattr(os, "sched_getaffinity") and not hasattr(socket, "SO_PEERCRED")
for package in ("engine", "server", "panel"):
    for module in pkgutil.walk_packages([package], f"{package}."):
        # The kernels are no modules, and those of Triton are for a card.
        if ".lib" not in module.name and "triton" not in module.name:
            importlib.import_module(module.name)
"""


@pytest.fixture
def environment(fresh_home: Path, tmp_path: Path) -> dict[str, str]:
    """Every Python that is started with it begins by taking away what only Linux has."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "without_linux.py").write_text(
        TAKEN_AWAY.read_text().replace("Path(__file__).parents[3]", f"Path({str(Path.cwd())!r})")
    )
    (site / "sitecustomize.py").write_text("import without_linux\nwithout_linux.take_away()\n")
    return {**os.environ, "PYTHONPATH": str(site), "QT_QPA_PLATFORM": "offscreen"}


def run(environment: dict[str, str], *arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_engine_server_and_panel_are_imported_without_what_only_linux_has(
    environment: dict[str, str],
) -> None:
    run(environment, "-c", IMPORT_ALL)


def test_a_clip_is_rendered_without_what_only_linux_has(
    environment: dict[str, str], movie: MovieMaker, tmp_path: Path
) -> None:
    clip, painted = movie("clip.mp4", count=3), tmp_path / "painted.mp4"
    options = ("--prompt", "mosaic", "--steps", 2, "--keys", "0,2", "--out", painted)
    run(environment, "-m", "server.cli", "render", clip, *options)
    assert painted.stat().st_size > 0
    assert "runs, process" in run(environment, "-m", "server.cli", "server", "status")
    assert "has ended" in run(environment, "-m", "server.cli", "server", "stop")
