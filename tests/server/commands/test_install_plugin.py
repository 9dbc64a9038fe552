"""`inbetween install-plugin` puts the effect where hosts look, and takes it away again."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import bundle
from server.bundle import BUNDLE, Bundle
from server.cli import app
from tests.ofx_host.host import BUNDLE as BUILT

COMMAND = Path(sys.executable).with_name("inbetween")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a system without any effect."""
    if not BUILT.exists():
        pytest.skip("the effect is not built: make setup")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("OFX_PLUGIN_PATH", "")
    monkeypatch.setattr(bundle, "SYSTEM_FOLDER", tmp_path / "usr" / "OFX" / "Plugins")
    (tmp_path / "home").mkdir()
    return tmp_path


@pytest.fixture
def checkout(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A checkout with a built bundle, whose command is this installation's."""
    own = Bundle(machine / "checkout" / BUNDLE)
    shutil.copytree(BUILT, own.path)
    own.command_file.write_text(f"{COMMAND}\n")
    monkeypatch.setattr(bundle, "built_bundle", lambda: own)
    return own


@pytest.fixture
def package(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A wheel's bundle, which was built elsewhere."""
    own = Bundle(machine / "package" / BUNDLE)
    shutil.copytree(BUILT, own.path)
    own.command_file.write_text("/where/it/was/built/inbetween\n")
    monkeypatch.setattr(bundle, "packaged_bundle", lambda: own)
    return own


def install(*options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["install-plugin", *options])
    assert result.exit_code == code, result.output
    return result


def doctor() -> str:
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    return next(line for line in lines if " effect: " in line)


def system() -> Bundle:
    return Bundle(bundle.SYSTEM_FOLDER / BUNDLE)


def user() -> Bundle:
    return Bundle(bundle.user_folder() / BUNDLE)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]


def test_a_checkout_is_linked_and_doctor_agrees(checkout: Bundle) -> None:
    told = install().stdout
    assert system().path.readlink() == checkout.path
    assert f"a link to {checkout.path}" in told
    assert doctor() == f"ok    effect: {system().path} loads"
    for host in ("DaVinci Resolve", "Nuke", "Natron"):
        assert host in told


def test_a_package_is_copied_with_the_command_of_this_installation(package: Bundle) -> None:
    assert "a copy" in install("--system").stdout
    assert not system().path.is_symlink()
    assert system().command == COMMAND
    assert system().has_the_library_of(package)
    assert doctor() == f"ok    effect: {system().path} loads"
    assert all(path.stat().st_mode & 0o044 for path in files_below(system().path))


def test_for_a_user_alone_it_says_how_hosts_find_it(
    checkout: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = install("--user").stdout
    assert user().is_inbetween
    assert not system().is_there
    assert f"export OFX_PLUGIN_PATH={user().path.parent}" in told
    file = Path.home() / ".config" / "environment.d" / "60-inbetween.conf"
    assert str(file) in told
    script = f'set -a; . {file}; printf %s "$OFX_PLUGIN_PATH"'
    for before, after in (("", ""), ("/others", ":/others")):
        environment = {"OFX_PLUGIN_PATH": before}
        read = subprocess.run(["/bin/sh", "-c", script], env=environment, stdout=subprocess.PIPE)
        assert read.stdout.decode() == f"{user().path.parent}{after}"
    assert doctor().startswith(f"warn  effect: {user().path} loads; editors started from here do")
    monkeypatch.setenv("OFX_PLUGIN_PATH", str(user().path.parent))
    assert doctor() == f"ok    effect: {user().path} loads"


@pytest.mark.parametrize("where", ["--user", "--system"])
def test_what_was_installed_is_removed_and_nothing_else(package: Bundle, where: str) -> None:
    keep = bundle.SYSTEM_FOLDER / "Other.ofx.bundle"
    keep.mkdir(parents=True)
    before = files_below(Path.home())
    install(where)
    told = install("--remove").stdout
    assert "is removed" in told
    assert files_below(Path.home()) == before
    assert list(bundle.SYSTEM_FOLDER.iterdir()) == [keep]
    assert "nothing is removed" in install("--remove").stdout


def test_what_another_installation_put_there_stays(package: Bundle, machine: Path) -> None:
    install("--system")
    system().command_file.write_text("/another/bin/inbetween\n")
    assert "is not of this installation and stays" in install("--remove").stdout
    assert system().is_inbetween
    shutil.rmtree(system().path)
    system().path.symlink_to(machine / "elsewhere")
    assert "stays" in install("--remove").stdout
    assert system().path.is_symlink()


def test_a_link_is_removed_after_its_checkout_was_cleaned(checkout: Bundle) -> None:
    install()
    shutil.rmtree(checkout.path)
    assert doctor().startswith("fail  effect: ")
    assert "is removed" in install("--remove").stdout
    assert not system().is_there


def test_a_link_to_a_checkout_that_is_gone_is_listed_and_removed(
    package: Bundle, machine: Path
) -> None:
    """By whichever installation is there still."""
    system().path.parent.mkdir(parents=True)
    system().path.symlink_to(machine / "gone" / "build" / "plugin" / BUNDLE)
    assert str(system().path) in CliRunner().invoke(app, ["uninstall"]).stdout
    assert f"{system().path} is removed." in install("--remove").stdout
    assert not system().is_there


def test_a_folder_that_may_not_be_written_keeps_nothing_else_from_being_removed(
    checkout: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("--system")
    install("--user")
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        """As for somebody who is not root."""
        if path.parent == bundle.SYSTEM_FOLDER:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    told = install("--remove", code=1)
    assert f"{user().path} is removed." in told.stdout
    assert f"sudo {COMMAND} install-plugin --remove --system" in told.stderr
    assert not user().path.parent.exists()
    assert not (Path.home() / ".config" / "environment.d" / "60-inbetween.conf").exists()
    assert system().is_there


def test_an_older_one_is_replaced_while_a_host_has_it_open(package: Bundle) -> None:
    install("--system")
    library = system().library
    assert library is not None
    mapped = ctypes.CDLL(str(library))
    with library.open("ab") as file:
        file.write(b"older")
    assert "is of another version than" in doctor()
    install("--system")
    assert mapped.OfxGetNumberOfPlugins() == 1
    assert doctor() == f"ok    effect: {system().path} loads"
    assert list(bundle.SYSTEM_FOLDER.iterdir()) == [system().path]


def test_a_bundle_that_does_not_load_leaves_the_old_one_in_place(package: Bundle) -> None:
    install("--system")
    assert package.library is not None
    package.library.write_bytes(b"damaged")
    assert "does not load" in install("--system", code=1).stderr
    assert system().load_problem() == ""
    assert list(bundle.SYSTEM_FOLDER.iterdir()) == [system().path]


def test_something_else_of_that_name_is_not_replaced(package: Bundle) -> None:
    system().path.mkdir(parents=True)
    (system().path / "notes.txt").write_text("mine")
    assert "is something else: move it away" in install("--system", code=2).stderr
    assert (system().path / "notes.txt").read_text() == "mine"


def test_a_command_that_is_gone_is_told_by_doctor(package: Bundle) -> None:
    install("--system")
    system().command_file.write_text("/gone/inbetween\n")
    assert "starts /gone/inbetween, which is not there" in doctor()
    system().command_file.write_text("/bin/sh\n")
    assert "starts /bin/sh, which is another installation" in doctor()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_who_may_not_write_there_is_told_the_command(checkout: Bundle, machine: Path) -> None:
    (machine / "usr").mkdir(mode=0o555)
    for options in ((), ("--system",)):
        told = install(*options, code=1).stderr
        assert f"sudo {COMMAND} install-plugin --system" in told
    assert "install-plugin --user" in install(code=1).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="sudo makes somebody root")
def test_for_a_user_through_sudo_is_refused(
    checkout: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "mary")
    assert "leave out sudo" in install("--user", code=2).stderr
    install()
    assert "is removed" in install("--remove").stdout


def test_an_installation_without_an_effect_says_so(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "built_bundle", lambda: Bundle(machine / BUNDLE))
    assert "make plugin builds it" in install(code=2).stderr


def test_two_places_at_once_are_refused(checkout: Bundle) -> None:
    assert "give one of them" in install("--user", "--system", code=2).stderr
