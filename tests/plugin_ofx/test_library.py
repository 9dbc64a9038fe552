"""The shared library as a guest in somebody else's process."""

import subprocess
from pathlib import Path
from shutil import copy

import numpy as np
import pytest

from tests.ofx_host.host import HostError, OfxHost, library
from tests.plugin_ofx.conftest import FakeServer, clip, negative


def test_only_the_entry_points_of_openfx_are_visible() -> None:
    command = ["nm", "-D", "--defined-only", str(library())]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in listing.splitlines()}
    assert names == {"OfxGetNumberOfPlugins", "OfxGetPlugin", "OfxSetHost"}


def test_nothing_but_the_c_library_is_needed() -> None:
    command = ["readelf", "-d", str(library())]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in listing.splitlines() if "NEEDED" in line}
    assert needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def test_effect_renders_after_it_was_unloaded_and_loaded_again(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    host.feed(frames)
    for plugin in range(4):
        host.load()
        effect = host.create(plugin=plugin)
        (picture,) = effect.render([plugin])
        np.testing.assert_array_equal(picture.pixels, negative(frames[plugin]))
        effect.destroy()
        host.unload(plugin)


def test_two_copies_of_the_effect_live_in_one_host(
    host: OfxHost, server: FakeServer, tmp_path: Path
) -> None:
    frames = clip(count=12)
    host.feed(frames)
    other = tmp_path / "Other.ofx"
    copy(library(), other)
    host.load()
    host.load(other)
    effects = [host.create(plugin=plugin) for plugin in (0, 1)]
    for picture in host.render(effects, range(12)):
        np.testing.assert_array_equal(picture.pixels, negative(frames[picture.time]))
    for effect in effects:
        effect.destroy()
    host.unload(0)
    host.unload(1)


def test_instances_come_and_go_with_every_frame(host: OfxHost, server: FakeServer) -> None:
    frames = clip(count=10)
    host.feed(frames, recreate=True)
    host.load()
    effect = host.create()
    for picture in effect.render(range(10)):
        np.testing.assert_array_equal(picture.pixels, negative(frames[picture.time]))
    effect.destroy()


def test_effect_is_loaded_again_while_other_instances_render(host: OfxHost) -> None:
    frames = clip(count=10)
    host.feed(frames, recreate=True, reload=True)
    host.load()
    for picture in host.render([host.create() for _ in range(3)], list(range(10)) * 20):
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])


def test_instance_that_cannot_be_made_leaves_nothing_behind(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    host.feed(frames, refuses_clips=True)
    host.load()
    with pytest.raises(HostError, match="CreateInstance"):
        host.create()
    host.option(refuses_clips=False)
    (picture,) = host.create().render([1])
    np.testing.assert_array_equal(picture.pixels, negative(frames[1]))


def test_effect_renders_where_the_host_keeps_nothing_for_an_instance(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    host.feed(frames, instance_data=False)
    host.load()
    effect = host.create()
    (picture,) = effect.render([1])
    np.testing.assert_array_equal(picture.pixels, negative(frames[1]))
    effect.destroy()
