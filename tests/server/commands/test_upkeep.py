"""What a person is told of the server and of what lies on disk, and how it is removed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from inbetween.v1.session_pb2 import PLACEMENT_HAND, KeyFrame
from typer.testing import CliRunner, Result

from server import cli
from server.client import connect
from server.launcher import is_running, server_process_id, stop_server


def answered(answer: str, *arguments: object) -> Result:
    """A command, and what a person types when it asks."""
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments], input=answer)


@pytest.fixture
def session(inbetween: Any, fresh_home: Path, movie: Any, tmp_path: Path) -> str:
    """Rendered, with a painting by hand of frame 4."""
    picture = tmp_path / "mine.png"
    cv2.imwrite(str(picture), np.full((54, 96, 3), 80, np.uint8))
    render = inbetween(
        "render", movie("a clip.mp4"), "--keys", "0,4", "--painting", f"4={picture}",
        "--quality", "draft", "--out", tmp_path / "out.mp4", "--fresh",
    )  # fmt: skip
    assert render.exit_code == 0, render.stderr
    with connect(start=False) as client:
        return client.list_sessions()[-1].id


def test_the_server_tells_how_it_stands(inbetween: Any, session: str, home: Path) -> None:
    told = inbetween("server", "status").stdout
    assert f"runs, process {server_process_id()}, version {version('inbetween')}" in told
    assert "after 15 minutes without use" in told
    assert "50 GiB" in told
    assert "0 queued or running" in told
    for path in (home / "run" / "server.sock", home / "run" / "server.log", home / "home"):
        assert str(path) in told
    assert "in process" in told  # the one that has rendered
    assert "has ended" in inbetween("server", "stop").stdout
    assert "does not run; it starts when needed" in inbetween("server", "status").stdout
    assert "No render server was running" in inbetween("server", "stop").stdout


def test_limits_come_from_options_and_from_the_environment(
    inbetween: Any, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBETWEEN_IDLE_MINUTES", "0")
    monkeypatch.setenv("INBETWEEN_BUDGET_GIB", "2.5")
    assert inbetween("server", "start", "--budget", "7").exit_code == 0
    told = inbetween("server", "status").stdout
    assert "only when it is stopped" in told
    assert "7 GiB" in told
    inbetween("server", "stop")
    assert "2.5 GiB" in inbetween("server", "status").stdout
    assert "at most 2.5 GiB" in inbetween("doctor").stdout
    monkeypatch.setenv("INBETWEEN_IDLE_MINUTES", "soon")
    refused = inbetween("server", "start")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "INBETWEEN_IDLE_MINUTES is 'soon': choose a number of minutes from 0 to 1000000; "
        "0 is never.\n"
    )
    for option in (
        "--budget=-1", "--budget=nan", "--budget=1e300", "--idle-minutes=inf", "--idle-minutes=1e10"
    ):  # fmt: skip
        name, _, value = option.partition("=")
        told = inbetween("server", "start", "--idle-minutes=1", option)
        assert told.exit_code == 2
        assert f"{name} is {float(value)}: choose a number of" in told.stderr
    assert not is_running()


@pytest.mark.parametrize("number", ["1e300", "1e10"])
@pytest.mark.parametrize(
    ("variable", "unit"), [("INBETWEEN_BUDGET_GIB", "GiB"), ("INBETWEEN_IDLE_MINUTES", "minutes")]
)
def test_a_limit_beyond_what_can_be_held_is_refused_in_a_sentence(
    inbetween: Any,
    fresh_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    unit: str,
    number: str,
) -> None:
    monkeypatch.setenv(variable, number)
    for command in ("start", "run", "status"):
        refused = inbetween("server", command)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(
            f"{variable} is {float(number)}: choose a number of {unit} from 0 to 1000000"
        )
    monkeypatch.delenv(variable)
    assert not is_running()


def test_sessions_are_listed_and_shown_with_what_they_take(inbetween: Any, session: str) -> None:
    listed = inbetween("sessions", "list").stdout
    assert session in listed
    assert f"{session}  a clip.mp4  0-4     2 " in listed
    assert "5 ready" in listed
    shown = inbetween("sessions", "show", session).stdout
    assert "a clip.mp4" in shown
    assert "quality: draft" in shown
    assert "patch-size" not in shown  # as usual
    assert "4: placed by hand, 1 take, ready" in shown
    assert "by hand     paintings of frame 4" in shown
    assert "5 frames, " in shown
    with connect() as client:
        (usage,) = client.measure_sessions(session)
    assert usage.folder in shown


def test_a_session_is_deleted_once_it_is_clear_what_is_lost(inbetween: Any, session: str) -> None:
    kept = answered("n\n", "sessions", "delete", session)
    assert kept.exit_code == 1
    assert "a clip.mp4, 2 key frames, 2 takes, 5 finished frames" in kept.stdout
    assert "Painted by hand, and nothing can make it again: frame 4." in kept.stdout
    assert session in inbetween("sessions", "list").stdout
    assert "are free" in inbetween("sessions", "delete", session, "--yes").stdout
    assert session not in inbetween("sessions", "list").stdout
    again = inbetween("sessions", "delete", session)
    assert again.exit_code == 2
    assert f'There is no session "{session}"' in again.stderr


def test_cleaning_leaves_results_and_sessions_in_use(inbetween: Any, session: str) -> None:
    with connect() as client:
        (before,) = client.measure_sessions(session)
        assert "are free" in inbetween("sessions", "clean", session).stdout
        (after,) = client.measure_sessions(session)
    assert before.work_bytes > after.work_bytes == 0
    assert after.sequence_bytes == before.sequence_bytes
    assert inbetween("sessions", "clean").exit_code == 0  # those of other tests, too
    assert "0 bytes are free" in inbetween("sessions", "clean").stdout
    unused = inbetween("sessions", "clean", "--older-than", "30").stdout
    assert unused == "No session was left unused for 30 days.\n"
    month = 30 * 86_400
    for folder in (Path(after.folder), *Path(after.folder).iterdir()):
        os.utime(folder, (after.used_at - month, after.used_at - month))
    assert answered("n\n", "sessions", "clean", "--older-than", "29").exit_code == 1
    assert "frame 4" in inbetween("sessions", "clean", "--older-than", "29", "--yes").stdout
    assert session not in inbetween("sessions", "list").stdout
    assert inbetween("sessions", "clean", "x", "--older-than", "1").exit_code == 2
    assert inbetween("sessions", "clean", "--yes").exit_code == 2


def test_cleaning_old_sessions_leaves_those_that_are_rendered_and_tells_the_sum(
    inbetween: Any, fresh_home: Path, movie: Any
) -> None:
    with connect() as client:
        idle = client.open_session(movie("idle.mp4")).id
        busy = client.open_session(movie("busy.mp4", size=(240, 136), count=25)).id
        later = client.open_session(movie("later.mp4")).id
        session = client.session(busy).session
        keys = [KeyFrame(index=index, placement=PLACEMENT_HAND) for index in (0, 24)]
        client.set_key_frames(session, keys)
        job = next(client.run_job(busy))
        told = inbetween("sessions", "clean", "--older-than", "0", "--yes")
        client.cancel_job(job.id)
    assert told.exit_code == 0, told.stderr
    assert f"Session {busy} is being rendered and was left as it is." in told.stdout
    assert told.stdout.endswith(" are free.\n")
    left = inbetween("sessions", "list").stdout
    assert busy in left
    assert idle not in left
    assert later not in left


def test_uninstall_tells_what_lies_where_and_removes_what_is_ours_alone(
    inbetween: Any, session: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Inbetween.ofx.bundle").mkdir()
    monkeypatch.setenv("OFX_PLUGIN_PATH", str(tmp_path))
    told = inbetween("uninstall").stdout
    for path in (home / "home", home / "run", tmp_path / "Inbetween.ofx.bundle"):
        assert str(path) in told
    assert "install-plugin --remove" in told
    assert is_running()
    assert inbetween("uninstall", "--yes").exit_code == 2
    theirs = home / "home" / "notes.txt"
    theirs.write_text("not ours")
    asked = answered("n\n", "uninstall", "--remove")
    assert asked.exit_code == 1
    assert "Painted by hand, and nothing can make it again: frame 4." in asked.stdout
    assert is_running()
    assert inbetween("uninstall", "--remove", "--yes").exit_code == 0
    assert not is_running()
    assert list((home / "home").iterdir()) == [theirs]
    assert list((home / "run").iterdir()) == []
    theirs.unlink()


@pytest.fixture
def folders(
    fresh_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Path, Path]]:
    """A home that is not there yet and a runtime folder, both named as a person would name them."""
    home, runtime = tmp_path / "home", Path(tempfile.mkdtemp(prefix="inbetween-"))
    monkeypatch.setenv("INBETWEEN_HOME", str(home))
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(runtime))
    yield home, runtime
    stop_server()
    shutil.rmtree(runtime, ignore_errors=True)


def test_uninstall_leaves_what_others_made_under_names_like_ours(
    inbetween: Any, folders: tuple[Path, Path]
) -> None:
    home, runtime = folders
    assert inbetween("server", "start").exit_code == 0
    theirs = [
        home / "sessions" / "of my analyst" / "notes.txt",
        home / "sessions" / ("0" * 16),  # a file
        home / "state.sqlite.bak",
        home / "server.log",
        runtime / "sessions" / ("0" * 16) / "notes.txt",
        runtime / "state.sqlite",
        runtime / "server.log.old",
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not ours")
    done = inbetween("uninstall", "--remove", "--yes")
    assert done.exit_code == 0, done.stderr
    left = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(theirs)


def test_uninstall_tells_of_sessions_that_no_server_knows(
    inbetween: Any, folders: tuple[Path, Path]
) -> None:
    home, _ = folders
    take = home / "sessions" / "0123456789abcdef" / "takes" / "take.exr"
    take.parent.mkdir(parents=True)
    take.write_bytes(bytes(2000))
    told = f"{take.parents[1]} (2.0 kB), which the server knows nothing of."
    asked = answered("n\n", "uninstall", "--remove").stdout
    assert "This is lost:" in asked
    assert told in asked
    assert take.exists()
    assert inbetween("uninstall", "--remove", "--yes").exit_code == 0
    assert not home.exists()


def test_uninstall_empties_sessions_on_another_disk_and_deletes_the_link(
    inbetween: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    home, _ = folders
    disk = tmp_path / "a larger disk"
    (disk / "0123456789abcdef" / "takes").mkdir(parents=True)
    home.mkdir()
    (home / "sessions").symlink_to(disk)
    assert inbetween("uninstall", "--remove", "--yes").exit_code == 0
    assert list(disk.iterdir()) == []
    assert not home.exists()
