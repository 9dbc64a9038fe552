"""One propagation: how fast a key frame is carried to another frame, and how well.

    python -m benchmarks.propagation [--case woman_sculpt|bigbuckbunny|CLIP] [--clip PATH]
        [--key A --target B --size WxH] [--device cpu|cuda] [--quality standard] [--json]

The self-test: the style is the key frame's own source, so that the picture should equal the real
target frame; a bilinear warp along the composed flow is what it has to beat. A key frame painted in
strong strokes shows what that cannot: its texture must stay as sharp as it was.

    python -m benchmarks.propagation --growth

measures how time grows with pixels, threads, frames and key frames instead.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import typer

from benchmarks.carrying import (
    Between,
    Propagation,
    Taken,
    in_floats,
    parameters_of,
    psnr_db,
)
from benchmarks.memory import device_memory_mib, forget_peak_memory, peak_memory_mib
from benchmarks.report import Printer
from benchmarks.situation import Picture8, Situation
from engine.errors import InbetweenError, InvalidValueError
from engine.native.kernels import Kernels
from engine.propagation.parameters import QUALITIES
from engine.sharpness import mean_gradient
from engine.types import FloatArray

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.pictures import Pictures
    from benchmarks.sequence import Calm

FULL = "best"

Kind = TypeVar("Kind")
Value = TypeVar("Value")


@dataclass(frozen=True)
class PropagationMeasurement:
    """One key frame carried to one frame. What has several values has one for each painted key."""

    benchmark: str
    clip: str
    size: str
    key: int
    target: int
    quality: str
    device: str
    load_average: float
    """Of the machine, before the measurement: how busy it was with other work."""
    psnr_db: float
    """Of the self-test against the real frame."""
    warp_only_psnr_db: float
    seconds_per_propagation: float
    """Patch synthesis until the device is done with it, data resident; median after a warm-up."""
    processor_seconds_per_propagation: float
    """Of all threads: what a busy machine disturbs less."""
    seconds_per_frame: float
    """Both directions side by side with guides, warps, confidence, and the blend; data resident.
    Without decoding, optical flow and files."""
    processor_seconds_per_frame: float
    painted_seconds_per_propagation: dict[str, float]
    energy_over_full: dict[str, float]
    """Mean patch error over that of the quality `best`, less 1."""
    gradient_ratio: dict[str, float]
    """Mean gradient over that of the painted key: below 1 is smearing, above 1 noise."""
    warp_gradient_ratio: dict[str, float]
    temporal_warp_error: dict[str, float]
    """Pixel-MSE from one painted key to the next, along the flow of the source. Like what follows
    it is not known for --prepared."""
    one_directional_warp_error: dict[str, float]
    """The same where the first key alone is carried, up to the next one."""
    gradient_ratio_by_frame: dict[str, tuple[float, ...]]
    """Of each frame between, carried frame by frame from the first key alone."""
    peak_memory_mib: float | None
    """Of this process while it makes a frame."""
    device_memory_mib: float | None
    """In use on the device after that, by all programs."""
    dis_seconds: float | None
    """One DIS flow on one thread: the yardstick for other machines."""


def main(
    case: Annotated[
        str | None, typer.Option(help="woman_sculpt, bigbuckbunny or a clip's path.")
    ] = None,
    clip: Annotated[Path | None, typer.Option(help="The clip, if the case does not tell.")] = None,
    key: Annotated[int | None, typer.Option(help="The key frame.")] = None,
    target: Annotated[int | None, typer.Option(help="A later frame, to be carried to.")] = None,
    size: Annotated[str | None, typer.Option(help="The clip is scaled to it: WxH.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    quality: Annotated[str, typer.Option(help="draft, standard or best.")] = "standard",
    repeats: Annotated[int, typer.Option(min=1, help="Of each time: the median counts.")] = 5,
    save: Annotated[Path | None, typer.Option(help="A folder for the pictures, as PNG.")] = None,
    prepare: Annotated[
        Path | None,
        typer.Option(
            help="Only writes the inputs of the case into this .npz file, for --prepared. A "
            "machine with a graphics card may lack what decodes, finds motion and paints."
        ),
    ] = None,
    prepared: Annotated[
        list[Path] | None,
        typer.Option(
            help="Measures what --prepare wrote; may be repeated. Needs NumPy and the kernels "
            "alone, so sequences are left out. Flows are rounded to 1/64 pixel."
        ),
    ] = None,
    growth: Annotated[bool, typer.Option("--growth", help="How time grows instead.")] = False,
    beside: Annotated[
        Path | None,
        typer.Option(
            "--with", help="For --growth: rows of another machine, from --json, shown as well."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="For --growth: a PNG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Measures one propagation, or with --growth how its time grows."""
    printer = Printer(as_json)
    try:
        _check_quality(quality)
        of_case = {"case": case, "clip": clip, "key": key, "target": target, "size": size}
        if growth:
            unused = {**of_case, "save": save, "prepare": prepare, "prepared": prepared or None}
            _check_unused("--growth", unused)
        else:
            _check_unused("a measurement without --growth", {"with": beside, "plot": plot})
        if prepared:
            _check_unused("--prepared", {**of_case, "prepare": prepare})
        if growth:
            from benchmarks.growth import measure_growth

            measure_growth(device, quality, repeats, beside, plot, printer)
            return
        bench = Bench(device, quality, repeats, save, printer)
        if prepared:
            rows = [bench.measure(Situation.load(path)) for path in prepared]
        else:
            from benchmarks.cases import named_cases

            cases = named_cases(case, clip, key, target, size)
            if prepare:
                _prepare(cases, prepare)
                return
            rows = [bench.measure_case(found) for found in cases]
    except InbetweenError as error:
        raise SystemExit(str(error)) from error
    printer.measurements("One propagation", rows)


def _check_quality(quality: str) -> None:
    if quality not in QUALITIES:
        raise InvalidValueError(f'The quality is "{quality}": choose {", ".join(QUALITIES)}.')


def _check_unused(kind: str, options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value is not None:
            raise InvalidValueError(f"--{name} does nothing for {kind}: leave one of them out.")


def _prepare(cases: "list[Case]", file: Path) -> None:
    from benchmarks.cases import PAINTINGS, situation_of

    if len(cases) != 1:
        raise InvalidValueError("--prepare writes one case: name it by --case or give a --size.")
    situation_of(cases[0], cases[0].read(), tuple(PAINTINGS)).save(file)


@dataclass(frozen=True)
class Bench:
    """Measures situations with the same settings."""

    device: str
    quality: str
    repeats: int
    save: Path | None
    printer: Printer

    def measure_case(self, case: "Case") -> PropagationMeasurement:
        """A case with its sequences."""
        from benchmarks.cases import PAINTINGS, situation_of

        self.printer.comment(f"reading {case.clip.name} at {case.size}, finding its motion")
        pictures = case.read()
        return self.measure(situation_of(case, pictures, tuple(PAINTINGS)), pictures)

    def measure(
        self, situation: Situation, pictures: "Pictures | None" = None
    ) -> PropagationMeasurement:
        """One situation; `pictures` are the frames from key frame to key frame, for sequences."""
        load_average = os.getloadavg()[0]
        kernels, parameters = Kernels.open(self.device), parameters_of(self.quality)
        target = in_floats(situation.source)
        self.printer.comment(f"carrying {situation.clip} at {situation.size}, {self.quality}")
        plain = Propagation(situation, situation.left.key_source, kernels)
        result = plain.carried(parameters).picture
        paintings = {name: self._painted(situation, name, kernels) for name in situation.paintings}
        self._save(situation, result, plain.warped(), paintings)
        single = plain.taken(parameters, self.repeats)
        frame, peak_mib, device_mib = self._frame(situation, kernels)
        calms = self._calms(pictures, situation, kernels)
        return PropagationMeasurement(
            benchmark="propagation",
            clip=situation.clip,
            size=situation.size,
            key=situation.keys[0],
            target=situation.target,
            quality=self.quality,
            device=kernels.name,
            load_average=load_average,
            psnr_db=psnr_db(result, target),
            warp_only_psnr_db=psnr_db(plain.warped(), target),
            seconds_per_propagation=single.seconds,
            processor_seconds_per_propagation=single.processor_seconds,
            seconds_per_frame=frame.seconds,
            processor_seconds_per_frame=frame.processor_seconds,
            painted_seconds_per_propagation=_each(paintings, lambda painted: painted.seconds),
            energy_over_full=_each(paintings, lambda painted: painted.energy_over_full),
            gradient_ratio=_each(paintings, lambda painted: painted.gradient_ratio),
            warp_gradient_ratio=_each(paintings, lambda painted: painted.warp_gradient_ratio),
            temporal_warp_error=_each(calms, lambda calm: calm.warp_error),
            one_directional_warp_error=_each(calms, lambda calm: calm.one_directional_warp_error),
            gradient_ratio_by_frame=_each(calms, lambda calm: calm.gradient_ratios),
            peak_memory_mib=peak_mib,
            device_memory_mib=device_mib,
            dis_seconds=_dis_seconds(situation),
        )

    def _painted(self, situation: Situation, name: str, kernels: Kernels) -> "_Painted":
        painting = situation.paintings[name]
        propagation = Propagation(situation, painting, kernels)
        parameters = parameters_of(self.quality)
        carried = propagation.carried(parameters)
        full = carried if self.quality == FULL else propagation.carried(parameters_of(FULL))
        gradient = mean_gradient(in_floats(painting))
        return _Painted(
            picture=carried.picture,
            warped=propagation.warped(),
            seconds=propagation.taken(parameters, self.repeats).seconds,
            energy_over_full=carried.mean_error / full.mean_error - 1,
            gradient_ratio=mean_gradient(carried.picture) / gradient,
            warp_gradient_ratio=mean_gradient(propagation.warped()) / gradient,
        )

    def _frame(
        self, situation: Situation, kernels: Kernels
    ) -> tuple[Taken, float | None, float | None]:
        """The time of a frame, and the memory of this process and of the device."""
        forget_peak_memory()
        taken = Between(situation, kernels).taken(parameters_of(self.quality), self.repeats)
        on_device = None if self.device == "cpu" else device_memory_mib()
        return taken, peak_memory_mib(), on_device

    def _calms(
        self, pictures: "Pictures | None", situation: Situation, kernels: Kernels
    ) -> "dict[str, Calm]":
        if pictures is None:
            return {}
        from benchmarks.sequence import calm

        self.printer.comment(
            f"making the frames between {situation.keys[0]} and {situation.keys[1]}"
        )
        return {name: calm(pictures, name, self.quality, kernels) for name in situation.paintings}

    def _save(
        self,
        situation: Situation,
        result: FloatArray,
        warped: FloatArray,
        paintings: "Mapping[str, _Painted]",
    ) -> None:
        if self.save is None:
            return
        from PIL import Image

        folder = self.save / f"{Path(situation.clip).stem}_{situation.size}_{self.quality}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in _named_pictures(situation, result, warped, paintings):
            Image.fromarray(picture).save(folder / f"{name}.png")


@dataclass(frozen=True)
class _Painted:
    """A painted key frame carried to the frame."""

    picture: FloatArray
    warped: FloatArray
    seconds: float
    energy_over_full: float
    gradient_ratio: float
    warp_gradient_ratio: float


def _named_pictures(
    situation: Situation,
    result: FloatArray,
    warped: FloatArray,
    paintings: Mapping[str, _Painted],
) -> Iterator[tuple[str, Picture8]]:
    """What people look at. Differences are of the real frame, four times as strong, on gray."""
    target = in_floats(situation.source)
    yield "key", situation.left.key_source
    yield "target", situation.source
    yield "result", _in_8_bits(result)
    yield "result_difference", _in_8_bits(0.5 + 4 * (result - target))
    yield "warp_difference", _in_8_bits(0.5 + 4 * (warped - target))
    for name, painted in paintings.items():
        yield f"{name}_key", situation.paintings[name]
        yield f"{name}_result", _in_8_bits(painted.picture)
        yield f"{name}_warp", _in_8_bits(painted.warped)
        yield f"{name}_difference_to_warp", _in_8_bits(0.5 + painted.picture - painted.warped)


def _in_8_bits(picture: FloatArray) -> Picture8:
    return np.asarray(np.rint(picture.clip(0, 1) * 255), np.uint8)


def _each(entries: Mapping[str, Kind], value: Callable[[Kind], Value]) -> dict[str, Value]:
    return {name: value(entry) for name, entry in entries.items()}


def _dis_seconds(situation: Situation) -> float | None:
    """None on a machine without OpenCV."""
    if find_spec("cv2") is None:
        return None
    from benchmarks.yardstick import dis_seconds

    return dis_seconds(in_floats(situation.left.key_source), in_floats(situation.source))


if __name__ == "__main__":
    typer.run(main)
