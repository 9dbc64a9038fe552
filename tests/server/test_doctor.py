"""`inbetween doctor` says what is well, what is missing, and what to do about it."""

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import bundle
from server import doctor as server_doctor
from server.bundle import BUNDLE, Bundle
from server.cli import app
from tests.screen import hide_screen, virtual_screen

FIRST_X_PORT = 6000
"""Of display 0, where displays are reached by TCP."""


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where nothing is installed and no screen is."""
    hide_screen(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("INBETWEEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OFX_PLUGIN_PATH", "")
    monkeypatch.setattr(bundle, "SYSTEM_FOLDER", tmp_path / "OFX")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor() -> Result:
    return CliRunner().invoke(app, ["doctor"])


def line(result: Result, part: str) -> str:
    return next(line for line in result.stdout.splitlines() if f" {part}: " in line)


def test_every_part_is_well_on_a_machine_where_the_tests_run(clean: Path) -> None:
    result = doctor()
    assert result.exit_code == 0, result.stdout
    assert line(result, "kernels").startswith("ok    kernels: they load, with ")
    assert line(result, "propagation").startswith("ok    propagation: on ")
    assert "mosaic" in line(result, "painter style")
    assert "oil painting" in line(result, "painter diffusion")
    assert line(result, "model").startswith("ok    model: pocket, built in")
    assert line(result, "controlnet").startswith("ok    controlnet: pocket, built in")
    assert "not running; starts when needed" in line(result, "server")
    assert "GiB free" in line(result, "disk")
    assert not any(text.startswith("fail") for text in result.stdout.splitlines())


def test_an_effect_that_is_built_but_not_installed_is_found_from_any_folder(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "own_bundle", lambda: None)
    assert line(doctor(), "effect").startswith(
        "warn  effect: not found: in a checkout, make plugin"
    )
    monkeypatch.setattr(bundle, "own_bundle", lambda: Bundle(clean / "build" / BUNDLE))
    told = line(doctor(), "effect")
    assert told.startswith(f"warn  effect: {clean}/build/{BUNDLE}: no editor looks there")
    assert "inbetween install-plugin" in told


@pytest.mark.parametrize("folder", ["chosen", "OFX"])
def test_an_effect_that_no_host_can_use_is_a_failure(
    clean: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """In whatever folder hosts look."""
    monkeypatch.setenv("OFX_PLUGIN_PATH", f"{clean}/nowhere{os.pathsep}{clean}/chosen")
    installed = clean / folder / BUNDLE
    installed.parent.mkdir()
    installed.symlink_to(clean / "gone")
    assert line(doctor(), "effect").startswith(f"fail  effect: {installed} holds no effect")
    installed.unlink()
    library = installed / "Contents" / "Linux-x86-64" / "Inbetween.ofx"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    command = installed / "Contents" / "Resources" / "inbetween.command"
    command.parent.mkdir()
    command.write_text("/nowhere/inbetween\n")
    assert "does not load" in line(doctor(), "effect")
    assert doctor().exit_code == 1


def test_without_a_screen_the_panel_is_tried_off_screen(clean: Path) -> None:
    told = line(doctor(), "panel")
    assert told.startswith("warn  panel: no screen here (DISPLAY and WAYLAND_DISPLAY are not set)")
    assert told.endswith("off-screen a window opens")


def test_a_window_is_opened_on_the_screen_that_is_there(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_screen() as screen:
        monkeypatch.setenv("DISPLAY", screen.environment["DISPLAY"])
        assert line(doctor(), "panel") == "ok    panel: a window opens on xcb"
    monkeypatch.setenv("DISPLAY", ":987")
    result = doctor()
    assert result.exit_code == 1
    assert line(result, "panel").startswith("fail  panel: The panel cannot reach the screen")
    monkeypatch.setenv("QT_QPA_PLATFORM", "minimal")
    assert line(doctor(), "panel") == "ok    panel: a window opens on minimal"


def test_a_screen_that_does_not_answer_is_told_after_a_while(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_doctor, "WINDOW_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        display = f"127.0.0.1:{silent.getsockname()[1] - FIRST_X_PORT}"
        monkeypatch.setenv("DISPLAY", display)
        result = doctor()
    assert result.exit_code == 1
    wanted = f"fail  panel: no window opened within 2 seconds (DISPLAY={display}): "
    assert line(result, "panel").startswith(wanted)


def test_a_home_that_is_no_folder_is_a_failure(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lost = clean / "file", clean / "lost"
    file.write_text("")
    lost.symlink_to(clean / "gone")
    for home, wrong in ((file, file), (file / "below", file), (lost, lost)):
        monkeypatch.setenv("INBETWEEN_HOME", str(home))
        assert line(doctor(), "disk") == (
            f"fail  disk: {wrong} is no folder: set INBETWEEN_HOME to a folder of yours."
        )


def test_minutes_that_no_server_would_start_with_are_a_failure(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBETWEEN_IDLE_MINUTES", "abc")
    result = doctor()
    assert result.exit_code == 1
    assert line(result, "server").startswith("fail  server: INBETWEEN_IDLE_MINUTES is 'abc': ")


def test_a_runtime_folder_that_others_can_open_is_a_failure(clean: Path) -> None:
    (clean / "run").mkdir()
    (clean / "run").chmod(0o755)
    result = doctor()
    assert result.exit_code == 1
    assert line(result, "server").startswith("fail")
    assert "open to other users" in line(result, "server")
