"""`inbetween selftest`: whether a model paints key frames that hold together, on this machine."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import typer
from inbetween.v1.settings_pb2 import Settings
from rich.console import Console
from rich.table import Table

from engine.errors import InvalidValueError
from engine.graphics_card import graphics_card
from engine.media.color import to_painting_space
from engine.media.moving_scene import MovingScene
from engine.media.source import FrameSource, open_source
from engine.native.kernels import Kernels
from engine.plan import Blend, Paint, Propagate, check_key_frames
from engine.report import Stage
from engine.settings import RenderSettings
from engine.translation.painters import recipe_of
from engine.trial import Pictures, Trial, color_distance, independent, sharpness
from engine.types import FloatArray, FrameSize
from server.commands.contact_sheet import in_8_bits, write_contact_sheet
from server.commands.options import Value, apply_options
from server.commands.progress import ProgressDisplay
from server.doctor import Finding, Verdict, print_finding
from server.session_folder import versions, write_json
from server.settings import settings_of

INTERRUPTED = 130
KEYS = (0, 8, 16, 24)
AGAIN = KEYS[2]
"""The key frame that is painted twice."""
SIZE, SIZE_WITHOUT_CARD = FrameSize(512, 512), FrameSize(256, 256)
AGREEMENT = 0.8
"""Key-MSE of all constraints over that of key frames painted independently: at most this."""
SHARPNESS = 0.75
"""Of key frames against the first one: at least this."""
FLAT = 0.01
"""A painting whose values deviate less is a single colour."""
SHEET_FRAMES = 9
FIGURES = "selftest.json"


@dataclass
class Watcher:
    """Shows what is being done, and remembers how long each step took."""

    display: ProgressDisplay
    doing: str = ""
    seconds: dict[type, list[float]] = field(default_factory=lambda: defaultdict(list))

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        detail = f"{stage.value} frame {frame}"
        self.display.show(self.doing, step / steps if steps else None, detail)

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        """Nobody looks."""

    def done(self, step: Paint | Propagate | Blend, seconds: float, *, reused: bool) -> None:
        if not reused:
            self.seconds[type(step)].append(seconds)

    def notice(self, text: str) -> None:
        self.display.notice(text)

    def check_cancelled(self) -> None:
        """Ctrl-C ends the process."""


def selftest(
    folder: Path,
    clip: Path | None,
    size: str,
    device: str,
    given: Mapping[str, Value | None],
) -> int:
    """Renders, judges, prints and writes; the exit code."""
    settings = settings_of(apply_options(Settings(), given))
    if settings.translation.painter != "diffusion":
        raise InvalidValueError(
            f"The painter is {settings.translation.painter}: selftest is for diffusion models."
        )
    wanted_size = FrameSize.parse(size) if size else None
    kernels = _kernels(device)
    recipe_of(settings.translation)  # Raises what is wrong with the models.
    _make_folder(folder)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with ProgressDisplay() as display, closing(_source(clip, wanted_size, display)) as source:
        check_key_frames(source.clip.frame_range, KEYS)
        test = SelfTest(Trial(source, KEYS, kernels), settings, Watcher(display))
        try:
            findings = list(test.findings())
        except KeyboardInterrupt:
            typer.echo("Stopped: nothing was written.", err=True)
            return INTERRUPTED
        display.show("Writing the pictures")
        test.write(folder, findings)
    console = Console(highlight=False)
    for finding in findings:
        print_finding(console, finding)
    console.print(_table(test.figures))
    console.print(f"The pictures are in {folder}: look at sheet.png first.", soft_wrap=True)
    return int(any(finding.verdict is Verdict.FAILURE for finding in findings))


def _make_folder(folder: Path) -> None:
    """Raises InvalidValueError for one that holds what is not of a selftest: it would be lost."""
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"--folder is {folder}, which is a file: name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FIGURES).is_file():
        raise InvalidValueError(
            f"--folder is {folder}, where other things lie: name an empty one or a new one."
        )
    folder.mkdir(parents=True, exist_ok=True)


class SelfTest:
    """A short clip with all constraints between its key frames, and without any."""

    def __init__(self, trial: Trial, settings: RenderSettings, watcher: Watcher) -> None:
        self._trial = trial
        self._settings = settings
        self._watcher = watcher
        self._renders: dict[str, Pictures] = {
            "source": {
                at: to_painting_space(trial.source.read(at)) for at in range(KEYS[0], KEYS[-1] + 1)
            }
        }

    def findings(self) -> Iterator[Finding]:
        """Does the work, and judges each part of it once it is done."""
        yield from self._painted()
        yield self._painted_again()
        yield from self._carried()
        yield from self._compared()

    @cached_property
    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Of the source and of both renders, which must be there."""
        return {name: self._figures_of(frames) for name, frames in self._renders.items()}

    def write(self, folder: Path, findings: Sequence[Finding]) -> None:
        """All frames as pictures, some of them side by side, and what was found."""
        for name, frames in self._renders.items():
            place = folder / name.replace(" ", "_")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for index, picture in frames.items():
                in_8_bits(picture).save(place / f"{index:04d}.png")
        indices = sorted(self._renders["source"])
        shown = [indices[round(at)] for at in np.linspace(0, len(indices) - 1, SHEET_FRAMES)]
        rows = {name: [frames[at] for at in shown] for name, frames in self._renders.items()}
        write_contact_sheet(folder / "sheet.png", shown, rows)
        values = {
            "findings": [f"{each.verdict.value} {each.part}: {each.text}" for each in findings],
            "figures": self.figures,
            "settings": asdict(self._settings),
            "recipe": recipe_of(self._settings.translation).text,
            "versions": versions(),
        }
        write_json(folder / FIGURES, values)

    def _painted(self) -> Iterator[Finding]:
        self._watcher.doing = "Painting key frames"
        takes = self._trial.paint(self._settings, self._watcher)
        first, *others = self._watcher.seconds[Paint]
        device = graphics_card() or "the processor"
        yield Finding(
            Verdict.OK,
            "speed",
            f"{np.mean(others):.2f} s a key frame of {self._trial.source.clip.size} on {device}, "
            f"and {first:.1f} s for the first one with loading the model",
        )
        broken = [
            str(key)
            for key, take in takes.items()
            if not np.isfinite(take).all() or take.std() < FLAT
        ]
        yield Finding(
            Verdict.FAILURE if broken else Verdict.OK,
            "key frames",
            f"frame {', '.join(broken)} is no picture but a single colour: the model is damaged or "
            "needs another VAE"
            if broken
            else f"{len(takes)} are painted",
        )

    def _painted_again(self) -> Finding:
        self._watcher.doing = "Painting a key frame again"
        store, plan = self._trial.store, self._trial.plan(self._settings)
        address = plan.takes[AGAIN]
        take, trajectory = store.pictures.pop(address), store.trajectories.pop(address)
        again = self._trial.paint(self._settings, self._watcher)[AGAIN]
        latents = store.trajectories[address].latents
        difference = float(np.abs(again - take.pixels).max())
        same = difference == 0 and np.array_equal(latents, trajectory.latents)
        return Finding(
            Verdict.OK if same else Verdict.FAILURE,
            "again",
            f"key frame {AGAIN} painted again alone "
            + ("is the same, bit for bit" if same else f"differs by {difference:.2g}"),
        )

    def _carried(self) -> Iterator[Finding]:
        self._watcher.doing = "Making the frames between"
        self._renders["all constraints"] = self._trial.render(self._settings, self._watcher)
        seconds = sum(map(sum, (self._watcher.seconds[kind] for kind in (Propagate, Blend))))
        frames = self._renders["all constraints"]
        between = len(frames) - len(KEYS)
        whole = len(frames) == KEYS[-1] + 1 and all(
            np.isfinite(frame).all() for frame in frames.values()
        )
        yield Finding(
            Verdict.OK if whole else Verdict.FAILURE,
            "in between",
            f"{between} frames, {seconds / max(1, between):.2f} s each",
        )
        self._watcher.doing = "Painting independent key frames"
        alone = replace(self._settings, translation=independent(self._settings.translation))
        self._renders["independent"] = self._trial.render(alone, self._watcher)

    def _compared(self) -> Iterator[Finding]:
        figures = self.figures
        full, free = figures["all constraints"], figures["independent"]
        share = full["key_mse"] / free["key_mse"]
        yield Finding(
            Verdict.OK if share <= AGREEMENT else Verdict.FAILURE,
            "agreement",
            f"Key-MSE is {share:.2f} of that of independent key frames, {AGREEMENT} or less is "
            "expected",
        )
        calm = full["pixel_mse"] / free["pixel_mse"]
        yield Finding(
            Verdict.OK if calm <= 1 else Verdict.FAILURE,
            "calm",
            f"Pixel-MSE is {calm:.2f} of that with independent key frames, 1 or less is expected",
        )
        if self._settings.translation.adain:
            closer = full["color_distance"] <= free["color_distance"]
            yield Finding(
                Verdict.OK if closer else Verdict.WARNING,
                "colours",
                f"{full['color_distance']:.4f} from those of the first key frame, "
                f"{free['color_distance']:.4f} or less is expected",
            )
        yield Finding(
            Verdict.OK if full["sharpness"] >= SHARPNESS else Verdict.WARNING,
            "sharpness",
            f"{full['sharpness']:.2f} of the first key frame's, {SHARPNESS} or more is expected",
        )

    def _figures_of(self, frames: Pictures) -> dict[str, float]:
        takes = {key: frames[key] for key in KEYS}
        return {
            "pixel_mse": self._trial.warp_error(frames).mean,
            "key_mse": self._trial.warp_error(takes).mean,
            "color_distance": color_distance(takes),
            "sharpness": sharpness(takes),
        }


def _source(clip: Path | None, size: FrameSize | None, display: ProgressDisplay) -> FrameSource:
    if clip is None:
        usual = SIZE if graphics_card() else SIZE_WITHOUT_CARD
        return MovingScene(size or usual, KEYS[-1] + 1)
    if size is not None:
        raise InvalidValueError("--size is for the made-up clip: leave out --size or --clip.")
    return open_source(clip, display.notice)


def _kernels(device: str) -> Kernels:
    """The kernels of a device, which torch takes as well: to be chosen before torch is imported.

    Raises InvalidValueError for a word that is no device, and for a card that is not there.
    """
    if device == "auto":
        return Kernels.open()
    kind, _, index = device.partition(":")
    os.environ["CUDA_VISIBLE_DEVICES"] = (index or "0") if kind == "cuda" else "-1"
    graphics_card.cache_clear()
    if kind == "cuda" and not graphics_card():
        raise InvalidValueError(f"The device is {device}, and there is no such card: choose cpu.")
    return Kernels.open(kind)


def _table(figures: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in next(iter(figures.values())):
        table.add_column(name.replace("_", " "), justify="right")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:.5f}" for value in values.values()))
    return table
