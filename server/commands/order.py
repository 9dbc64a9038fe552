"""What the command line of `inbetween render` says, read and checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inbetween.v1.options_pb2 import NamedFile
from inbetween.v1.session_pb2 import SizeRule

from engine.errors import InvalidValueError, NotFoundError
from engine.media.numbered import NumberedFiles
from engine.translation.models.files import POCKET
from engine.types import FrameRange
from server.commands.key_options import OwnValues, parse_keys_own
from server.commands.options import Value, setting_fields

SIZE_RULES = {
    "refuse": SizeRule.SIZE_RULE_REFUSE,
    "fit": SizeRule.SIZE_RULE_FIT,
    "crop": SizeRule.SIZE_RULE_CROP,
}


@dataclass(frozen=True)
class RenderOrder:
    """What a person asked for, read and checked as far as that needs no server."""

    clip: Path
    out: Path
    overwrite: bool
    fresh: bool
    renew: bool
    """Paint key frames again that were painted against older ones."""
    frames: FrameRange | None
    """None: the whole clip."""
    keys: tuple[int, ...] | None
    """By hand, in place of the session's; None: those stay."""
    own_values: Mapping[int, OwnValues]
    """What key frames set for themselves; those that are not there are placed."""
    paintings: Mapping[int, Path]
    size_rule: SizeRule.ValueType
    mask: Path | None
    """Of this result only; None: all of each frame is painted."""
    settings: Mapping[str, Value | None]

    @property
    def files(self) -> list[Path]:
        """What the result is made from."""
        masks = [] if self.mask is None else [self.mask]
        return [self.clip, *self.paintings.values(), *masks]

    @classmethod
    def parse(
        cls,
        *,
        clip: Path,
        out: Path,
        overwrite: bool,
        fresh: bool,
        renew: bool = False,
        frames: str,
        keys: str,
        own_values: Sequence[str] = (),
        paintings: Sequence[str],
        size_rule: str,
        mask: Path | None = None,
        settings: Mapping[str, Value | None],
    ) -> "RenderOrder":
        """Reads the command line; InvalidValueError or NotFoundError for what is wrong with it."""
        order = cls(
            clip=clip.absolute(),
            out=out.absolute(),
            overwrite=overwrite,
            fresh=fresh,
            renew=renew,
            frames=parse_range(frames) if frames else None,
            keys=parse_keys(keys) if keys else None,
            own_values=parse_keys_own(own_values),
            paintings=parse_paintings(paintings),
            size_rule=_size_rule(size_rule),
            mask=mask.absolute() if mask else None,
            settings=_with_whole_paths(_key_settings(settings, keys)),
        )
        for index in (*(order.keys or ()), *order.own_values, *order.paintings):
            _check_inside(index, order.frames)
        return order


def parse_range(text: str) -> FrameRange:
    """0-95 as the frames 0 to 95."""
    match = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", text)
    if match is None:
        raise InvalidValueError(
            f"--range is {text!r}: give the first and the last frame, for example 0-95."
        )
    return FrameRange(int(match[1]), int(match[2]))


def parse_keys(text: str) -> tuple[int, ...]:
    """0,24,61 as three frames."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise InvalidValueError(
            f"--keys is {text!r}: give frame numbers with commas between, for example 0,24,61."
        )
    return tuple(int(number) for number in text.split(","))


def parse_paintings(texts: Sequence[str]) -> Mapping[int, Path]:
    """Each painting under its frame."""
    paintings: dict[int, Path] = {}
    for index, path in map(parse_painting, texts):
        if index in paintings:
            raise InvalidValueError(f"--painting names two paintings of frame {index}: choose one.")
        paintings[index] = path
    return paintings


def parse_painting(text: str) -> tuple[int, Path]:
    """24=frame24.png as a frame and its picture file."""
    number, equals, file = text.partition("=")
    if not (number.strip().isdecimal() and equals and file):
        raise InvalidValueError(
            f"--painting is {text!r}: give the frame and the file, for example 24=frame24.png."
        )
    path = Path(file).absolute()
    if not path.is_file():
        raise NotFoundError(f"There is no painting {path}: check the path after {number}=.")
    return int(number), path


def _size_rule(text: str) -> SizeRule.ValueType:
    if text not in SIZE_RULES:
        raise InvalidValueError(f"--size-rule is {text!r}: choose {', '.join(SIZE_RULES)}.")
    return SIZE_RULES[text]


def _key_settings(settings: Mapping[str, Value | None], keys: str) -> Mapping[str, Value | None]:
    """Key frames by hand switch the automatic ones off, unless both are asked for: nothing paints
    automatic ones where the painter only takes pictures painted by hand.
    """
    by_hand = keys or settings.get("painter") == "painted"
    if by_hand and settings.get("key_interval") is None:
        return {**settings, "key_interval": 0}
    return settings


def _with_whole_paths(settings: Mapping[str, Value | None]) -> Mapping[str, Value | None]:
    """Files named from this folder as the server finds them, which works in another one."""
    whole = {
        field.name: _with_whole_path(str(settings[field.name]), field.annotation.names_file)
        for field in setting_fields()
        if field.annotation.HasField("names_file") and settings.get(field.name)
    }
    return {**settings, **whole}


def _with_whole_path(value: str, named: NamedFile) -> str:
    """Where it is a list, of each entry; what is no file here may be a hub name."""
    entries = re.split(r"(\s*[;\n]\s*)", value) if named.several else [value]
    return "".join(entry if entry == POCKET else _whole(entry, named) for entry in entries)


def _whole(entry: str, named: NamedFile) -> str:
    """An entry of a list may end in a weight; numbered pictures exist by their folder."""
    name, _, weight = entry.rpartition(" ") if named.several else ("", "", "")
    for path, rest in ((Path(entry), ""), (Path(name), f" {weight}")):
        is_numbered = named.numbered and NumberedFiles.parse(path) is not None
        if path.name and (path.exists() or is_numbered):
            return f"{path.absolute()}{rest}"
    return entry


def _check_inside(index: int, frames: FrameRange | None) -> None:
    if frames is not None and index not in frames:
        raise InvalidValueError(
            f"Key frame {index} lies outside --range {frames.first}-{frames.last}: choose a frame "
            "inside it, or a wider range."
        )
