"""Buttons of the effect, and what they leave in its parameters."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from inbetween.v1.settings_pb2 import Settings

from tests.ofx_host.host import Effect, OfxHost
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.plugin_ofx.conftest import FakeServer, clip, fake_server, serving


def created(host: OfxHost) -> Effect:
    host.feed(clip(), first_time=10)
    host.load()
    return host.create()


def test_keys_are_placed_and_removed_at_the_time_of_the_press(
    host: OfxHost, server: FakeServer
) -> None:
    effect = created(host)
    effect.press("add_key", 12)
    effect.press("add_key", 14)
    assert [key.index for key in server.session.key_frames] == [12, 14]
    effect.press("remove_key", 12)
    assert [key.index for key in server.session.key_frames] == [14]
    assert effect.get("session_id") == "session-1"
    assert effect.get("refresh") == 3
    assert host.messages() == []


def test_refused_key_is_told_in_the_servers_words(host: OfxHost, server: FakeServer) -> None:
    effect = created(host)
    effect.press("add_key", 12)
    effect.press("add_key", 12)
    assert [message.text for message in host.messages()] == ["Frame 12 has a key frame already."]


def test_key_stands_on_the_source_frame_that_the_last_render_told(
    host: OfxHost, server: FakeServer
) -> None:
    host.option(source_frame_offset=500, source_path="/media/a.mov")
    effect = created(host)
    effect.render([11])
    effect.press("add_key", 12)
    assert [key.index for key in server.session.key_frames] == [512]


def test_settings_of_the_panel_reach_the_parameters(host: OfxHost, server: FakeServer) -> None:
    effect = created(host)
    effect.set("uniformity", 1.0)
    settings = Settings()
    settings.translation.prompt = "10=oil"
    settings.translation.painter = "style"
    settings.translation.strength = 0.5
    settings.keys.key_interval = 0
    server.session.settings.CopyFrom(settings)
    effect.press("update_from_panel", 12)
    assert effect.get("prompt") == "10=oil"
    assert effect.get("painter") == 1
    assert effect.get("strength") == 0.5
    assert effect.get("key_interval") == 0
    assert effect.get("uniformity") == 3500


def test_render_clip_hands_over_every_frame_and_starts_the_work(
    host: OfxHost, server: FakeServer
) -> None:
    effect = created(host)
    effect.set("prompt", "cartoon")
    effect.press("render_clip", 12)
    assert sorted(server.frames) == [10, 11, 12, 13, 14]
    assert server.opened[-1].settings.translation.prompt == "cartoon"
    assert server.jobs == ["session-1"]
    assert "in the background" in host.messages()[-1].text


def test_session_of_a_render_is_kept_at_the_next_edit(host: OfxHost, server: FakeServer) -> None:
    effect = created(host)
    effect.render([12])
    assert effect.get("session_id") == ""
    effect.set("seed", 3)
    assert effect.get("session_id") == "session-1"
    effect.render([12])
    assert server.requests[-1].session_id == "session-1"


def test_copy_on_other_media_does_not_use_the_session_of_the_first(
    host: OfxHost, server: FakeServer
) -> None:
    host.option(source_path="/media/a.mov")
    effect = created(host)
    effect.press("add_key", 12)
    razor_cut = effect.clone()
    razor_cut.render([12])
    assert server.requests[-1].session_id == "session-1"
    razor_cut.destroy()
    host.option(source_path="/media/b.mov")
    effect.clone().render([12])
    on_the_copy = [r for r in server.requests if r.clip.host.identity == "/media/b.mov"]
    assert on_the_copy[0].session_id == ""


def test_panel_opens_on_the_session_without_the_hosts_libraries(
    runtime: Path, server: FakeServer, installed: tuple[Path, Path]
) -> None:
    path, record = installed
    environment = {
        "INBETWEEN_RUNTIME_DIR": str(runtime),
        "LD_LIBRARY_PATH": "/nowhere",
        "PYTHONHOME": "/nowhere",
        "QT_PLUGIN_PATH": "/nowhere",
    }
    with OfxHost(environment) as host:
        host.feed(clip())
        host.load(path)
        host.create().press("open_panel", 0)
        assert host.messages() == []
        lines = wait_for(record).splitlines()
    assert lines[0] == "panel --session session-1"
    names = {line.partition("=")[0] for line in lines[1:]}
    assert "INBETWEEN_RUNTIME_DIR" in names
    assert not names & {"LD_LIBRARY_PATH", "PYTHONHOME", "QT_PLUGIN_PATH"}


def test_a_viewer_starts_a_server_again_that_this_effect_had_started(
    runtime: Path, installed: tuple[Path, Path]
) -> None:
    path, record = installed
    frames = clip()
    with OfxHost({"INBETWEEN_RUNTIME_DIR": str(runtime)}) as host, ThreadPoolExecutor(1) as pool:
        host.feed(frames)
        host.load(path)
        effect = host.create()
        pressed = pool.submit(effect.press, "add_key", 0)
        assert wait_for(record).splitlines()[0] == "server start"
        with serving(fake_server(), runtime):
            pressed.result(timeout=PATIENCE_SECONDS)
            effect.render([0])
        record.unlink()
        deadline = time.monotonic() + 30
        while not record.exists():
            assert time.monotonic() < deadline, "the server was not started again"
            (picture,) = effect.render([1])
            np.testing.assert_array_equal(picture.pixels, frames[1])
        assert host.messages()[-1].text.startswith("The render server is starting again")


def test_command_that_is_gone_is_told(runtime: Path, installed: tuple[Path, Path]) -> None:
    path, _ = installed
    (path.parents[1] / "Resources/inbetween.command").write_text("/nowhere/inbetween\n")
    with OfxHost({"INBETWEEN_RUNTIME_DIR": str(runtime)}) as host:
        host.feed(clip())
        host.load(path)
        host.create().press("add_key", 0)
        assert "/nowhere/inbetween" in host.messages()[0].text


def wait_for(path: Path) -> str:
    wait_until(path.exists)
    return path.read_text()
