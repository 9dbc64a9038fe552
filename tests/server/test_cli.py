"""The command line as a whole."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.translation.painters import describe_painters
from server import cli


def test_it_says_its_version() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.stdout == f"inbetween {version('inbetween')}\n"


def test_help_loads_no_heavy_package() -> None:
    heavy = ["torch", "cv2", "av", "grpc", "numpy", "PySide6"]
    check = (
        "import sys; from typer.testing import CliRunner; from server.cli import app;"
        "CliRunner().invoke(app, ['render', '--help']);"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_looks_are_listed_with_all_the_words_for_them() -> None:
    told = CliRunner().invoke(cli.app, ["looks"]).stdout
    for painter in describe_painters():
        for look in (*painter.looks, *painter.modifiers):
            assert look.name in told
    assert all(word in told for word in ("aquarelle", "silkscreen", "moonlight"))


def test_the_looks_are_written_as_one_picture(tmp_path: Path) -> None:
    sheet = tmp_path / "looks.png"
    assert CliRunner().invoke(cli.app, ["looks", "--sheet", str(sheet)]).exit_code == 0
    with Image.open(sheet) as picture:
        assert picture.width > 900
        assert picture.height > 600
    written = sheet.read_bytes()
    replacing = ["looks", "--sheet", str(sheet), "--overwrite"]
    again = CliRunner().invoke(cli.app, replacing[:-1])
    assert again.exit_code == 2
    assert "looks.png exists" in again.stderr.replace("\n", "")
    assert CliRunner().invoke(cli.app, replacing).exit_code == 0
    assert sheet.read_bytes() == written
    wrong = CliRunner().invoke(cli.app, ["looks", "--sheet", str(tmp_path / "looks.doc")])
    assert wrong.exit_code == 2
    assert "name a .png or .jpg file" in wrong.stderr


def test_a_wrong_command_is_wrong_input() -> None:
    assert CliRunner().invoke(cli.app, ["paint"]).exit_code == 2


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    (tmp_path / "run").mkdir(mode=0o700)
    told = inbetween("sessions", "list", home=tmp_path)
    assert told.returncode == 1
    assert "did not start" in told.stderr
    assert "home" in told.stderr
    assert "Traceback" not in told.stderr


def test_only_with_debug_does_a_person_see_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    told = inbetween("sessions", "list", home=tmp_path)
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "chmod 700" in told.stderr
    assert "Traceback" in inbetween("sessions", "list", home=tmp_path, INBETWEEN_DEBUG="1").stderr


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr("server.commands.looks.describe_painters", fail)
    monkeypatch.setattr(sys, "argv", ["inbetween", "looks"])


def test_a_fault_of_our_own_is_a_sentence_too(
    broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    told = capsys.readouterr().err
    assert "ZeroDivisionError: of our own" in told
    assert "Traceback" not in told


def inbetween(
    *arguments: str, home: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    places = {"INBETWEEN_HOME": str(home / "home"), "INBETWEEN_RUNTIME_DIR": str(home / "run")}
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        env={**os.environ, **places, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
