"""Numbered files: `shot.%04d.exr` or `shot.####.exr`."""

import re
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"%(?:0(\d{1,2}))?d|(#+)")


@dataclass(frozen=True)
class NumberedFiles:
    """Files in one folder whose names differ by a number only."""

    folder: Path
    before: str
    digits: int
    """Numbers are filled with zeros to this width; longer ones are taken as they are."""
    after: str

    @classmethod
    def parse(cls, path: Path) -> "NumberedFiles | None":
        """None where the name of `path` holds no place for a number, or is a file as it is."""
        match = _NUMBER.search(path.name)
        if match is None or path.is_file():
            return None
        digits = len(match[2]) if match[2] else int(match[1] or 1)
        return cls(path.parent, path.name[: match.start()], digits, path.name[match.end() :])

    @property
    def suffix(self) -> str:
        """In small letters, with its dot."""
        return Path(f"0{self.after}").suffix.lower()

    def path(self, number: int) -> Path:
        """The file with this number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def existing(self) -> dict[int, Path]:
        """The files that exist, in the order of their numbers."""
        if not self.folder.is_dir():
            return {}
        name = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        numbers = (
            int(match[1]) for file in self.folder.iterdir() if (match := name.fullmatch(file.name))
        )
        return {number: file for number in sorted(numbers) if (file := self.path(number)).is_file()}

    def __str__(self) -> str:
        return str(self.folder / f"{self.before}{'#' * self.digits}{self.after}")
