"""`inbetween report`: the figures of a result, against the clip that it was made from."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from engine.clip_model import USUAL_CLIP, ClipModel, find_clip
from engine.errors import InvalidValueError, ModelUnavailableError
from engine.media.color import to_painting_space
from engine.media.files import replacing
from engine.media.numbered import NumberedFiles
from engine.media.source import FrameSource, open_source
from engine.metrics import Embeddings, Figures, FrameFigures, frame_figures
from engine.motion.flow import DisFlow
from engine.plan import check_key_frames
from engine.types import FloatArray, FrameRange
from server.commands.order import parse_keys, parse_range
from server.commands.plot import Panel, write_plot
from server.commands.progress import ProgressDisplay
from server.store import DESCRIPTION

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
    source: Path
    frames: FrameRange | None
    """Of the source; None: those of the result."""
    keys: tuple[int, ...] | None
    """None: those that the file beside the result names."""
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
        source: Path,
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
    keys = _keys_beside(order.result) if order.keys is None else order.keys
    measured: list[FrameFigures] = []
    with (
        ProgressDisplay() as display,
        closing(open_source(order.result, display.note)) as result,
        closing(open_source(order.source, display.note)) as source,
    ):
        frames = _frames(order, result, source)
        check_key_frames(frames, order.keys or ())
        embeddings, clip_model = _embeddings(order, display)
        if not any(key in frames for key in keys):
            display.note("No key frames are known, which Key-MSE needs: name them by --keys.")
        offset = result.clip.frame_range.first - frames.first if _is_movie(order.result) else 0
        pairs = _pairs(result, source, frames, offset)
        try:
            for figures in frame_figures(pairs, keys, DisFlow(), embeddings):
                measured.append(figures)
                detail = f"frame {figures.frame}"
                display.show("Measuring", len(measured) / len(frames), detail)
        except KeyboardInterrupt:
            typer.echo(f"Stopped after {len(measured)} of {len(frames)} frames.", err=True)
            raise typer.Exit(INTERRUPTED) from None
    _print(Figures.of(measured), measured)
    if order.json is not None:
        _write_json(order.json, order, clip_model, measured)
    if order.plot is not None:
        _write_plot(order.plot, measured)


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
            f"{order.result} has {len(shown)} frames, which cannot be frames {frames.first}-"
            f"{frames.last} of {order.source}: say by --range which ones it shows."
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


def _keys_beside(result: Path) -> Sequence[int]:
    """The key frames that the description beside numbered pictures names."""
    description = result.parent / DESCRIPTION
    if _is_movie(result) or not description.is_file():
        return ()
    try:
        told = json.loads(description.read_text("utf-8"))
        return [int(key.get("index", 0)) for key in told["session"].get("key_frames", ())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValueError(
            f"{description} does not tell the key frames: name them by --keys."
        ) from error


def _embeddings(
    order: ReportOrder, display: ProgressDisplay
) -> tuple[Embeddings | None, str | None]:
    """What CLIP sees, and which CLIP; a note where there is none and none was asked for."""
    display.show("Loading CLIP")
    name = order.clip_model or USUAL_CLIP
    try:
        model = ClipModel(find_clip(name, download=bool(order.clip_model)))
    except ModelUnavailableError:
        if order.clip_model:
            raise
        display.note(
            "Fram-Acc and Tem-Con are left out, because CLIP is not on this machine: "
            f"--clip-model {USUAL_CLIP} downloads it once (1.7 GB), --clip-model FOLDER uses one "
            "that you have."
        )
        return None, None
    if not order.prompt:
        display.note("Fram-Acc is left out: it needs --prompt and --source-prompt.")
        return Embeddings(model.picture), name
    return (
        Embeddings(model.picture, model.words(order.prompt), model.words(order.source_prompt)),
        name,
    )


def _print(figures: Figures, frames: Collection[FrameFigures]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("what it is", overflow="fold")
    for name, value in asdict(figures).items():
        label, meaning = FIGURES[name]
        table.add_row(label, "-" if value is None else f"{value:.5f}", meaning)
    keys = sum(frame.is_key for frame in frames)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(frames)} frames, {keys} of them key frames")


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
