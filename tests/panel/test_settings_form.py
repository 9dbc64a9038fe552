"""The form of the clip's settings, made from their annotations."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from inbetween.v1.options_pb2 import NamedFile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLabel, QWidget
from pytestqt.qtbot import QtBot

from panel.model.named_files import with_file
from panel.model.settings import setting_fields
from panel.widgets.fields import FileField, LineField
from panel.window import Window
from tests.annotated import (
    SETTINGS,
    WITH_NEEDS,
    Values,
    settings_with,
    that_act,
    that_leave_idle,
)
from tests.panel.conftest import OpenWindow
from tests.panel.fake_server import FakeServer


@pytest.fixture
def open_with(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> Callable[[Values], Window]:
    """Opens the panel on a session with these settings."""

    def open_(values: Values) -> Window:
        fake_server.session.settings.CopyFrom(settings_with(values))
        window = open_window(fake_server.socket, "")
        qtbot.waitUntil(lambda: window.is_settled)
        return window

    return open_


def is_greyed_out(field: QWidget) -> bool:
    return not field.isEnabled()


def names(fake_server: FakeServer, file: Path) -> bool:
    return fake_server.session.settings.translation.loras.endswith(str(file))


def test_settings_stand_under_their_sections_and_those_of_a_host_are_left_out(
    open_with: Callable[[Values], Window],
) -> None:
    card = open_with({}).shot_card
    told = {label.text() for label in card.findChildren(QLabel)}
    offered = [shown for shown in SETTINGS.values() if not shown.of_host]
    assert len(offered) < len(SETTINGS)
    assert {shown.label for shown in offered} <= told
    assert {setting.name for setting in setting_fields()} == {
        name for name, shown in SETTINGS.items() if not shown.of_host
    }
    assert {shown.section for shown in offered} <= told


def test_a_setting_is_greyed_out_while_what_it_needs_is_not_in_use(
    open_with: Callable[[Values], Window], fake_server: FakeServer, qtbot: QtBot
) -> None:
    card = open_with({}).shot_card
    for name in WITH_NEEDS:
        field = card.field(name)
        fake_server.change_settings(settings_with(that_leave_idle(name)))
        qtbot.waitUntil(partial(is_greyed_out, field))
        assert "It acts only w" in field.toolTip()
        fake_server.change_settings(settings_with(that_act(name)))
        qtbot.waitUntil(field.isEnabled)
        assert field.toolTip() == SETTINGS[name].hint


def test_why_a_setting_is_greyed_out_names_what_it_needs_by_its_labels(
    open_with: Callable[[Values], Window],
) -> None:
    card = open_with({"pixel_fusion": False}).shot_card
    assert card.field("fusion_strength").toolTip().endswith("It acts only with Pixel fusion.")
    assert (
        card.field("depth_model")
        .toolTip()
        .endswith("It acts only where ControlNet image or ControlNet 2 image is Depth.")
    )


def test_a_file_found_by_the_dialog_is_sent(
    open_with: Callable[[Values], Window], fake_server: FakeServer, qtbot: QtBot, tmp_path: Path
) -> None:
    ink, grain = tmp_path / "ink.safetensors", tmp_path / "grain.safetensors"
    for file in (ink, grain):
        file.touch()
    field = open_with({}).shot_card.field("loras")
    assert isinstance(field, FileField)
    for file in (ink, grain):
        field.browse.click()
        dialog = field.findChild(QFileDialog)
        assert dialog is not None
        assert dialog.nameFilters() == ["LoRAs (*.safetensors)"]
        dialog.selectFile(str(file))
        dialog.accept()
        qtbot.waitUntil(partial(names, fake_server, file))
        qtbot.waitUntil(lambda: field.findChild(QFileDialog) is None)
    assert fake_server.session.settings.translation.loras == f"{ink}\n{grain}"


def test_a_model_may_be_a_file_or_a_folder_and_a_network_for_depth_a_folder(
    open_with: Callable[[Values], Window],
) -> None:
    card = open_with({"controlnet_image": "depth"}).shot_card
    model, depth_model = card.field("model"), card.field("depth_model")
    assert isinstance(model, FileField)
    assert isinstance(depth_model, FileField)
    menu = model.browse.menu()
    assert menu is not None
    assert [action.text() for action in menu.actions()] == ["File…", "Folder…"]
    menu.actions()[1].trigger()
    depth_model.browse.click()
    for field in (model, depth_model):
        dialog = field.findChild(QFileDialog)
        assert dialog is not None
        assert dialog.fileMode() == QFileDialog.FileMode.Directory
        dialog.reject()


def test_a_name_may_be_typed_in_place_of_a_file(
    open_with: Callable[[Values], Window], fake_server: FakeServer, qtbot: QtBot
) -> None:
    field = open_with({}).shot_card.field("vae")
    assert isinstance(field, FileField)
    assert isinstance(field.text, LineField)
    QTest.keyClicks(field.text.line, "someone/a-vae")
    QTest.keyClick(field.text.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: fake_server.session.settings.translation.vae == "someone/a-vae")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/shots/pose.0001.png", "/shots/pose.%04d.png"),
        ("/shots/pose.0001.EXR", "/shots/pose.%04d.EXR"),
        ("/shots/2/pose.png", "/shots/2/pose.png"),
        ("/shots/pose2.mov", "/shots/pose2.mov"),
    ],
)
def test_a_numbered_picture_stands_for_its_row_where_numbered_files_are_taken(
    path: str, value: str
) -> None:
    assert with_file("another", path, NamedFile(numbered=True)) == value
    assert with_file("another", path, NamedFile()) == path
