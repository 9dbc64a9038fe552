"""Pictures painted by hand, on their way from a client."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbetween.v1.session_pb2 import ImportPaintingRequest, PaintingDescription
from inbetween.v1.session_pb2 import SizeRule as SizeRuleMessage

from engine.errors import InvalidValueError, UnreadableMediaError
from engine.media.color import to_painting_space
from engine.media.files import storage_errors
from engine.media.picture import PICTURE_SUFFIXES, SizeRule, fit_picture, read_picture
from server.session import Session

LARGEST_FILE_BYTES = 512 << 20

SIZE_RULE_OF = {
    SizeRuleMessage.SIZE_RULE_UNSPECIFIED: SizeRule.REFUSE,
    SizeRuleMessage.SIZE_RULE_REFUSE: SizeRule.REFUSE,
    SizeRuleMessage.SIZE_RULE_FIT: SizeRule.FIT,
    SizeRuleMessage.SIZE_RULE_CROP: SizeRule.CROP,
}


@dataclass(frozen=True)
class Painting:
    """A picture file that a client sent."""

    session_id: str
    index: int
    file: Path
    name: str
    size_rule: SizeRule


@contextmanager
def received_painting(parts: Iterator[ImportPaintingRequest]) -> Iterator[Painting]:
    """The file of a painting, which is gone after the block.

    Raises InvalidValueError for a file without description, of another kind, or too large.
    """
    first = next(parts, ImportPaintingRequest())
    if first.WhichOneof("part") != "description":
        raise InvalidValueError("A painting came without its description: send it first.")
    description = first.description
    suffix = _checked_suffix(description)
    with tempfile.TemporaryDirectory(prefix="inbetween-painting-") as folder:
        file = Path(folder) / f"painting{suffix}"
        with storage_errors(file):
            _write(file, parts)
        yield Painting(
            description.session_id,
            description.index,
            file,
            description.file_name,
            SIZE_RULE_OF[description.size_rule],
        )


def import_painting(session: Session, painting: Painting) -> None:
    """Makes it the take of its key frame.

    Raises UnreadableMediaError for a file that is no picture, InvalidValueError where its size is
    wrong and the rule refuses that.
    """
    source = to_painting_space(session.read_source(painting.index))
    try:
        picture = read_picture(painting.file)
    except UnreadableMediaError as error:
        # The editor knows the file by its own name.
        raise UnreadableMediaError(str(error).replace(str(painting.file), painting.name)) from error
    pixels = fit_picture(picture, source, painting.size_rule)
    description = {
        "painting": painting.name,
        "frame": painting.index,
        "size_rule": painting.size_rule.value,
    }
    session.add_painting(painting.index, pixels, description)


def _write(file: Path, parts: Iterator[ImportPaintingRequest]) -> None:
    written = 0
    with file.open("wb") as output:
        for part in parts:
            written += len(part.file_bytes)
            if written > LARGEST_FILE_BYTES:
                raise InvalidValueError(
                    f"The painting has more than {LARGEST_FILE_BYTES >> 20} MB: save it smaller."
                )
            output.write(part.file_bytes)


def _checked_suffix(description: PaintingDescription) -> str:
    suffix = Path(description.file_name).suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise InvalidValueError(
            f'"{description.file_name}" is no picture that can be imported: choose one of '
            f"{', '.join(PICTURE_SUFFIXES)}."
        )
    if description.size_rule not in SIZE_RULE_OF:
        raise InvalidValueError(
            f"The size rule is {description.size_rule}: choose one of SizeRule."
        )
    return suffix
