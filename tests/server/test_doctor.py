"""`inbetween doctor` says what is well, what is missing, and what to do about it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.doctor import BUNDLE


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("INBETWEEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OFX_PLUGIN_PATH", "")
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


def test_the_effect_is_looked_for_where_hosts_look(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(doctor(), "effect").startswith("warn  effect: not found: run make plugin")
    (clean / "build" / "plugin" / BUNDLE).mkdir(parents=True)
    assert "no host looks there: set OFX_PLUGIN_PATH" in line(doctor(), "effect")
    monkeypatch.setenv("OFX_PLUGIN_PATH", str(clean / "build" / "plugin"))
    assert line(doctor(), "effect").startswith("ok")


def test_a_runtime_folder_that_others_can_open_is_a_failure(clean: Path) -> None:
    (clean / "run").mkdir()
    (clean / "run").chmod(0o755)
    result = doctor()
    assert result.exit_code == 1
    assert line(result, "server").startswith("fail")
    assert "open to other users" in line(result, "server")
