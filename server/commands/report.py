"""`inbetween report`: the figures of a result, against the clip that it was made from."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.errors import InvalidValueError, ModelUnavailableError
from engine.media.color import to_painting_space
from engine.media.files import replacing
from engine.media.numbered import NumberedFiles
from engine.media.source import FrameSource, open_source
from engine.metrics import Embeddings, Figures, FrameFigures, frame_figures
from engine.motion.flow import DisFlow
from engine.plan import check_key_frames
from engine.types import FloatArray, FrameRange
from engine.vision_language import USUAL_CLIP, VisionLanguageModel, find_clip
from engine.wording import plural
from server.commands.order import parse_keys, parse_range
from server.commands.origin import Origin, origin_of
from server.commands.plot import Panel, write_plot
from server.commands.progress import ProgressDisplay

INTERRUPTED = 130
FIGURES = {
    "fram_acc": ("Fram-Acc", "frames closer to the prompt than to the source's, by CLIP"),
    "tem_con": ("Tem-Con", "likeness of neighbouring frames, by CLIP"),
    "pixel_mse": ("Pixel-MSE", "difference of neighbouring frames along the source's motion"),
    "key_mse": ("Key-MSE", "the same between neighbouring key frames"),
}


@dataclass(frozen=True)
class ReportOrder:
    """What a person asked for, read and checked as far as that needs no clip."""

    result: Path
    source: Path | None
    """None: what the result names."""
    frames: FrameRange | None
    """Of the source; None: those of the result."""
    keys: tuple[int, ...] | None
    """None: those that the result names."""
    prompt: str
    source_prompt: str
    clip_model: str
    """Empty: the usual one, where it is on this machine."""
    json: Path | None
    plot: Path | None

    @classmethod
    def parse(
        cls,
        *,
        result: Path,
        source: Path | None,
        frames: str,
        keys: str,
        prompt: str,
        source_prompt: str,
        clip_model: str,
        json: Path | None,
        plot: Path | None,
    ) -> "ReportOrder":
        """Reads the command line; InvalidValueError for what is wrong with it."""
        if bool(prompt) != bool(source_prompt):
            raise InvalidValueError(
                "Fram-Acc compares two prompts: give both --prompt and --source-prompt, or neither."
            )
        for option, path, suffix in (("--json", json, ".json"), ("--plot", plot, ".png")):
            if path is not None and path.suffix.casefold() != suffix:
                raise InvalidValueError(f"{option} is {path}: name a {suffix} file.")
        return cls(
            result,
            source,
            frames=parse_range(frames) if frames else None,
            keys=parse_keys(keys) if keys else None,
            prompt=prompt,
            source_prompt=source_prompt,
            clip_model=clip_model,
            json=json,
            plot=plot,
        )


def report(order: ReportOrder) -> None:
    """Measures, prints the figures and writes what was asked for."""
    asked, order = order, _completed(order)
    keys = order.keys or ()
    measured: list[FrameFigures] = []
    with (
        ProgressDisplay() as display,
        closing(open_source(order.result, display.notice)) as result,
        closing(open_source(_source(order), display.notice)) as source,
    ):
        frames = _frames(order, result, source)
        check_key_frames(frames, asked.keys or ())
        embeddings, clip_model = _embeddings(order, display)
        if not any(key in frames for key in keys):
            display.notice("No key frames are known, which Key-MSE needs: name them by --keys.")
        offset = result.clip.frame_range.first - frames.first if _is_movie(order.result) else 0
        pairs = _pairs(result, source, frames, offset)
        try:
            for figures in frame_figures(pairs, keys, DisFlow(), embeddings):
                measured.append(figures)
                detail = f"frame {figures.frame}"
                display.show("Measuring", len(measured) / len(frames), detail)
        except KeyboardInterrupt:
            done = f"{len(measured):,} of {plural(len(frames), 'frame')}"
            typer.echo(f"Stopped after {done}.", err=True)
            raise typer.Exit(INTERRUPTED) from None
    _print(measured, _source(order))
    if order.json is not None:
        _write_json(order.json, order, clip_model, measured)
    if order.plot is not None:
        _write_plot(order.plot, measured)


def _completed(order: ReportOrder) -> ReportOrder:
    """With what the result tells of itself, where nothing else was said."""
    if order.source and order.frames and order.keys is not None:
        return order
    origin = origin_of(order.result)
    if origin is None:
        return order
    return replace(
        order,
        source=order.source or _found(origin, order.result),
        frames=order.frames or origin.frames,
        keys=origin.keys if order.keys is None else order.keys,
    )


def _found(origin: Origin, result: Path) -> Path | None:
    """A movie tells only the name of its clip, which is looked for beside it and nowhere else: in
    other folders other clips have that name. Pictures tell where their clip lay.
    """
    beside = result.parent / origin.clip.name
    places = (beside,) if _is_movie(result) else (result.parent / origin.clip, beside)
    return next(
        (place for place in places if place.is_file() and not _is_same(place, result)), None
    )


def _is_same(place: Path, result: Path) -> bool:
    """A result may have the name of its clip, in another folder."""
    return result.is_file() and place.samefile(result)


def _source(order: ReportOrder) -> Path:
    if order.source is None:
        raise InvalidValueError(
            f"{order.result} does not tell its clip, or that is not beside it: name it by --source."
        )
    return order.source


def _frames(order: ReportOrder, result: FrameSource, source: FrameSource) -> FrameRange:
    """The frames of the source that the result shows, or those of them that were asked for.

    Raises InvalidValueError where the two do not belong together.
    """
    whole, shown = source.clip.frame_range, result.clip.frame_range
    if result.clip.size != source.clip.size:
        raise InvalidValueError(
            f"{order.result} is {result.clip.size} and {order.source} {source.clip.size}: name the "
            "clip that the result was made from."
        )
    frames = order.frames or (whole if _is_movie(order.result) else shown)
    if frames.first not in whole or frames.last not in whole:
        raise InvalidValueError(
            f"Frames {frames.first}-{frames.last} are not all in {order.source}, which has "
            f"{whole.first} to {whole.last}: name those that the result shows by --range."
        )
    if _is_movie(order.result) and len(frames) != len(shown):
        raise InvalidValueError(
            f"{order.result} has {plural(len(shown), 'frame')}, which cannot be {frames.first}-"
            f"{frames.last} of {order.source}: say by --range which frames it shows."
        )
    return frames


def _is_movie(path: Path) -> bool:
    """Its frames are counted from 0 on; numbered pictures carry the numbers of the source's."""
    return NumberedFiles.parse(path) is None


def _pairs(
    result: FrameSource, source: FrameSource, frames: FrameRange, offset: int
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    for index in frames.indices:
        painted, original = result.read(index + offset), source.read(index)
        yield index, to_painting_space(painted), to_painting_space(original)


def _embeddings(
    order: ReportOrder, display: ProgressDisplay
) -> tuple[Embeddings | None, str | None]:
    """What CLIP sees, and which CLIP; a notice where there is none and none was asked for."""
    display.show("Loading CLIP")
    name = order.clip_model or USUAL_CLIP
    try:
        model = VisionLanguageModel(find_clip(name, download=bool(order.clip_model)))
    except ModelUnavailableError:
        if order.clip_model:
            raise
        display.notice(
            "Fram-Acc and Tem-Con are left out, because CLIP is not on this machine: "
            f"--clip-model {USUAL_CLIP} downloads it once (1.7 GB), --clip-model FOLDER uses one "
            "that you have."
        )
        return None, None
    if not order.prompt:
        display.notice("Fram-Acc is left out: it needs --prompt and --source-prompt.")
        return Embeddings(model.picture), name
    return (
        Embeddings(model.picture, model.words(order.prompt), model.words(order.source_prompt)),
        name,
    )


def _print(frames: Collection[FrameFigures], source: Path) -> None:
    """The source's own figures are what a result that keeps to it comes near to."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    table.add_column("result", justify="right")
    table.add_column("source", justify="right")
    table.add_column("what it is", overflow="fold")
    theirs = asdict(_of_source(frames))
    for name, value in asdict(Figures.of(frames)).items():
        label, meaning = FIGURES[name]
        table.add_row(label, _shown(value), _shown(theirs[name]), meaning)
    keys = sum(frame.is_key for frame in frames)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{plural(len(frames), 'frame')}, {plural(keys, 'key frame')} among them")
    console.print(Text(f"The source is {source}."), soft_wrap=True)


def _of_source(frames: Collection[FrameFigures]) -> Figures:
    return Figures.of([frame.source for frame in frames if frame.source])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _write_json(
    path: Path, order: ReportOrder, clip_model: str | None, frames: Collection[FrameFigures]
) -> None:
    values = {
        "result": str(order.result),
        "source": str(order.source),
        "clip_model": clip_model,
        "prompt": order.prompt,
        "source_prompt": order.source_prompt,
        "flow_estimator": DisFlow.recipe,
        "figures": asdict(Figures.of(frames)),
        "source_figures": asdict(_of_source(frames)),
        "frames": [asdict(frame) for frame in frames],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    typer.echo(path)


def _write_plot(path: Path, frames: Sequence[FrameFigures]) -> None:
    panels = [
        panel
        for panel in (
            _panel("Pixel-MSE", frames, "pixel_mse"),
            _panel("Key-MSE", frames, "key_mse", markers=True),
            _panel("CLIP: likeness to the frame before", frames, "likeness"),
            _panel("CLIP: nearer to the prompt than to the source's", frames, "margin"),
        )
        if panel.values
    ]
    if not panels:
        raise InvalidValueError("A single frame has no figures to draw: leave --plot out.")
    keys = [frame.frame for frame in frames if frame.is_key]
    span = range(frames[0].frame, frames[-1].frame + 1)
    with replacing(path) as temporary:
        write_plot(temporary, span, keys, panels)
    typer.echo(path)


def _panel(
    title: str, frames: Sequence[FrameFigures], name: str, *, markers: bool = False
) -> Panel:
    found = {frame.frame: getattr(frame, name) for frame in frames}
    return Panel(title, {at: value for at, value in found.items() if value is not None}, markers)
