"""Drives the OpenFX host of the tests: a process that loads the effect as an editor would.

    with OfxHost() as host:
        host.feed_movie(path, FrameSize(640, 360), count=60)
        host.load(BUNDLE)
        effect = host.create()
        effect.set("prompt", "mosaic")
        (picture,) = effect.render([12])

Every answer of the host is checked: what the effect did against the rules of OpenFX is collected
and raised by `close()`.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from engine.types import FrameSize
from tests.patience import PATIENCE_SECONDS

BUILD = Path(
    os.environ.get("INBETWEEN_OFX_BUILD") or Path(__file__).parents[2] / "build" / "plugin"
)
"""Where effect and host were built; the variable names another folder."""
EXECUTABLE = BUILD / "ofx_host"
BUNDLE = BUILD / "Inbetween.ofx.bundle"
FILTER = "OfxImageEffectContextFilter"
GENERAL = "OfxImageEffectContextGeneral"
DEPTHS: dict[str, np.dtype[Any]] = {
    "OfxBitDepthByte": np.dtype(np.uint8),
    "OfxBitDepthShort": np.dtype(np.uint16),
    "OfxBitDepthFloat": np.dtype(np.float32),
}
CHANNELS = {1: "OfxImageComponentAlpha", 3: "OfxImageComponentRGB", 4: "OfxImageComponentRGBA"}

Pixels = NDArray[Any]
OptionValue = str | int | float | bool


class HostError(Exception):
    """The host could not do what it was told."""


class RuleError(Exception):
    """The effect broke rules of OpenFX."""


@dataclass(frozen=True)
class Rendered:
    """What a render gave."""

    time: int
    status: int
    """0: OK."""
    seconds: float
    pixels: Pixels
    """[H, W, C] of the output, rows top-down, in the type of the clip."""


@dataclass(frozen=True)
class Message:
    """What the effect told its user."""

    kind: str
    """"message", "persistent" or "clear"."""
    type: str
    text: str


def library(bundle: Path = BUNDLE) -> Path:
    """The shared library inside a bundle."""
    return bundle / "Contents" / "Linux-x86-64" / "Inbetween.ofx"


class OfxHost:
    """A host in a process of its own, with the clip that it feeds."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ofx-host-")
        self._process = subprocess.Popen(
            [str(EXECUTABLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._dtype: np.dtype[Any] = DEPTHS["OfxBitDepthByte"]
        self._channels = 4
        self._renders = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._end()

    @property
    def process_id(self) -> int:
        """Of the host."""
        return self._process.pid

    def command(self, *words: OptionValue) -> Any:
        """The answer to one command. Raises HostError where it could not be done."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise HostError("The host has no pipes.")
        try:
            stdin.write(" ".join(_quoted(word) for word in words) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise HostError(f"The host died before {words[0]}.") from None
        line = stdout.readline()
        if not line:
            raise HostError(f"The host died in {words[0]}: exit code {self._process.wait()}.")
        answer = json.loads(line)
        if "error" in answer:
            raise HostError(answer["error"])
        return answer["answer"]

    def option(self, **options: OptionValue) -> None:
        """Sets quirks of the host and facts of its clip; tests/ofx_host/suites.h names them."""
        for name, value in options.items():
            self.command("option", name, int(value) if isinstance(value, bool) else value)

    def feed(self, frames: Pixels, **options: OptionValue) -> None:
        """Makes `frames` [N, H, W, C] the source clip; uint8, uint16 or float32, C is 3 or 4."""
        path = Path(self._folder.name) / "clip.raw"
        frames.tofile(path)
        count, height, width, channels = frames.shape
        self._dtype, self._channels = frames.dtype, channels
        depth = next(name for name, dtype in DEPTHS.items() if dtype == frames.dtype)
        self.option(
            file=str(path),
            width=width,
            height=height,
            frames=count,
            depth=depth,
            components=CHANNELS[channels],
            **options,
        )

    def feed_mask(self, frames: Pixels, **options: OptionValue) -> None:
        """Wires `frames` [N, H, W, C] into the effect's mask; C is 1, 3 or 4."""
        path = Path(self._folder.name) / "mask.raw"
        frames.tofile(path)
        count, height, width, channels = frames.shape
        depth = next(name for name, dtype in DEPTHS.items() if dtype == frames.dtype)
        self.option(
            mask_file=str(path),
            mask_width=width,
            mask_height=height,
            mask_frames=count,
            mask_depth=depth,
            mask_components=CHANNELS[channels],
            **options,
        )

    def feed_movie(self, path: Path, size: FrameSize, count: int, first: int = 0) -> Pixels:
        """Makes frames of a movie, scaled to `size`, the source clip: 8-bit RGBA, opaque."""
        with av.open(str(path)) as movie:
            frame_rate = movie.streams.video[0].average_rate
            decoded = islice(movie.decode(video=0), first, first + count)
            frames = np.stack(
                [
                    frame.reformat(size.width, size.height, format="rgba").to_ndarray()
                    for frame in decoded
                ]
            )
        self.feed(frames, frame_rate=float(frame_rate or 25), premultiplication="OfxImageOpaque")
        return frames

    def load(self, path: Path | None = None) -> int:
        """Loads a plugin and describes it; its number."""
        answer = self.command("load", str(path or library()))
        if answer["load"] or answer["describe"]:
            raise HostError(f"The effect does not load: {answer}")
        return int(answer["plugin"])

    def unload(self, plugin: int = 0) -> None:
        """Unloads a plugin; its number is not used again."""
        self.command("unload", plugin)

    def describe(self, context: str = FILTER, plugin: int = 0) -> Any:
        """What the plugin declares: {"effect", "parameters", "clips"}, properties as lists."""
        return self.command("describe", plugin, context)

    def create(self, context: str = FILTER, plugin: int = 0) -> "Effect":
        """A new instance of the effect on the source clip."""
        return Effect(self, self.command("create", plugin, context))

    def render(self, effects: Sequence["Effect"], times: Iterable[int]) -> list[Rendered]:
        """Renders `times`; each instance works in a thread of its own."""
        self._renders += 1
        prefix = Path(self._folder.name) / f"render{self._renders}-"
        answers = self.command(
            "render", str(prefix), len(effects), *(effect.number for effect in effects), *times
        )
        return [self._rendered(answer) for answer in answers]

    def messages(self) -> list[Message]:
        """What the effect told its user since the last call."""
        return [Message(**message) for message in self.command("messages")]

    def violations(self) -> list[str]:
        """The rules of OpenFX that the effect broke since the last call."""
        return list(self.command("violations"))

    def counters(self) -> dict[str, int]:
        """Images fetched, progress told, memory not given back."""
        return dict(self.command("counters"))

    def close(self) -> None:
        """Ends the host. Raises RuleError for broken rules, HostError for an unclean end."""
        self.command("close")
        violations = self.violations()
        exit_code = self._end()
        if violations:
            raise RuleError("; ".join(violations))
        if exit_code:
            raise HostError(f"The host ended with exit code {exit_code}.")

    def _rendered(self, answer: dict[str, Any]) -> Rendered:
        path = Path(answer["path"])
        shape = (answer["height"], answer["width"], self._channels)
        pixels = np.fromfile(path, dtype=self._dtype).reshape(shape)
        path.unlink()
        return Rendered(int(answer["time"]), answer["status"], answer["seconds"], pixels)

    def _end(self) -> int:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            return self._process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._folder.cleanup()


class Effect:
    """One instance of the effect in the host."""

    def __init__(self, host: OfxHost, number: int) -> None:
        self._host = host
        self.number = number

    def set(self, name: str, value: OptionValue) -> None:
        """A change by the user."""
        self._host.command("set", self.number, name, value)

    @property
    def enabled(self) -> list[str]:
        """The parameters that are not greyed out."""
        return list(self._host.command("enabled", self.number))

    def get(self, name: str) -> Any:
        """The value of a parameter."""
        return self._host.command("get", self.number, name)

    def press(self, button: str, time: float = 0) -> int:
        """Presses a button at a time of the host; the status."""
        return int(self._host.command("press", self.number, button, time))

    def render(self, times: Iterable[int]) -> list[Rendered]:
        """Renders in this order."""
        return self._host.render([self], times)

    def clone(self) -> "Effect":
        """Another instance with the same values, as after copy and paste."""
        return Effect(self._host, self._host.command("clone", self.number))

    def destroy(self) -> None:
        """Ends the instance."""
        self._host.command("destroy", self.number)


def _quoted(word: OptionValue) -> str:
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
