"""The server's memory: sessions, takes, sequences and jobs in SQLite.

Written through at once: a server that is killed loses nothing that it told of.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from inbetween.v1.session_pb2 import Job
from inbetween.v1.session_pb2 import Session as SessionMessage
from inbetween.v1.settings_pb2 import Settings

from engine.errors import StorageError
from engine.types import Drift
from server.convert import session_message, session_of
from server.records import DeliveredFrame, FrameKind, HostFrame, TakeRecord
from server.settings import settings_message, settings_of
from server.state import SessionState

SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    clip_key TEXT NOT NULL,
    number INTEGER NOT NULL,            -- grows with each session made
    message BLOB NOT NULL,              -- inbetween.v1.Session
    cuts_known INTEGER NOT NULL,
    effect_settings BLOB,               -- inbetween.v1.Settings
    media TEXT NOT NULL DEFAULT ''      -- identifies the file that the cuts were found in
);
CREATE TABLE takes (
    session_id TEXT NOT NULL, address TEXT NOT NULL, frame INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (session_id, address)
);
CREATE TABLE host_frames (
    session_id TEXT NOT NULL, frame INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (session_id, frame)
);
CREATE TABLE sequence (
    session_id TEXT NOT NULL, frame INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (session_id, frame)
);
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, message BLOB NOT NULL
);
CREATE TABLE paces (kind TEXT PRIMARY KEY, pace REAL NOT NULL);
"""
MIGRATIONS = {
    1: "ALTER TABLE sessions ADD COLUMN media TEXT NOT NULL DEFAULT ''",
    # What was learnt before mixed kinds of work that differ tenfold.
    2: "DROP TABLE speeds; CREATE TABLE paces (kind TEXT PRIMARY KEY, pace REAL NOT NULL)",
}
"""What makes of each earlier version the next one."""


class Database:
    """One connection, used by all threads in turn."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except sqlite3.Error as error:
            raise StorageError(
                f"The server's state in {path} cannot be opened ({error}): make room where its "
                "disk is full, otherwise move the file away, and start again."
            ) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def sessions(self) -> list[tuple[str, SessionState]]:
        """All sessions with the keys of their clips, in the order of their making."""
        rows = self._rows(
            "SELECT clip_key, message, cuts_known, effect_settings, media FROM sessions "
            "ORDER BY number"
        )
        return [(row[0], _session_of(*row[1:])) for row in rows]

    def save_session(self, clip_key: str, state: SessionState) -> None:
        effect = state.effect_settings
        self._write(
            "INSERT INTO sessions VALUES "
            "(?1, ?2, (SELECT 1 + COALESCE(MAX(number), 0) FROM sessions), ?3, ?4, ?5, ?6) "
            "ON CONFLICT (id) DO UPDATE SET clip_key = ?2, message = ?3, cuts_known = ?4, "
            "effect_settings = ?5, media = ?6",
            state.id,
            clip_key,
            session_message(state, folder="").SerializeToString(),
            state.cuts is not None,
            settings_message(effect).SerializeToString() if effect else None,
            state.media,
        )

    def delete_session(self, session_id: str) -> None:
        """With all that belongs to it, at once."""
        with self._write_errors(), self._lock, self._transaction():
            self._connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            for table in ("takes", "host_frames", "sequence"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE session_id = ?",  # noqa: S608 - a name of ours
                    (session_id,),
                )

    def takes(self, session_id: str) -> list[TakeRecord]:
        """In the order of their making."""
        rows = self._rows(
            "SELECT record FROM takes WHERE session_id = ? ORDER BY rowid", session_id
        )
        return [_take_of(record) for (record,) in rows]

    def add_take(self, session_id: str, take: TakeRecord) -> None:
        """A take that is known already stays as it is."""
        self._write(
            "INSERT OR IGNORE INTO takes VALUES (?, ?, ?, ?)",
            session_id,
            take.address,
            take.frame,
            json.dumps(asdict(take)),
        )

    def host_frames(self, session_id: str) -> dict[int, HostFrame]:
        rows = self._rows("SELECT frame, record FROM host_frames WHERE session_id = ?", session_id)
        return {frame: HostFrame(**_with_kind(record)) for frame, record in rows}

    def save_host_frame(self, session_id: str, index: int, frame: HostFrame) -> None:
        self._write(
            "INSERT OR REPLACE INTO host_frames VALUES (?, ?, ?)",
            session_id,
            index,
            json.dumps(asdict(frame)),
        )

    def forget_host_frames(self, session_id: str) -> None:
        self._write("DELETE FROM host_frames WHERE session_id = ?", session_id)

    def forget_host_frame(self, session_id: str, index: int) -> None:
        self._write("DELETE FROM host_frames WHERE session_id = ? AND frame = ?", session_id, index)

    def sequence(self, session_id: str) -> dict[int, DeliveredFrame]:
        rows = self._rows("SELECT frame, record FROM sequence WHERE session_id = ?", session_id)
        return {frame: DeliveredFrame(**_with_kind(record)) for frame, record in rows}

    def save_delivered(self, session_id: str, index: int, frame: DeliveredFrame) -> None:
        self._write(
            "INSERT OR REPLACE INTO sequence VALUES (?, ?, ?)",
            session_id,
            index,
            json.dumps(asdict(frame)),
        )

    def forget_delivered(self, session_id: str, index: int) -> None:
        self._write("DELETE FROM sequence WHERE session_id = ? AND frame = ?", session_id, index)

    def jobs(self) -> list[Job]:
        """Jobs that shall go on, in the order of their asking."""
        rows = self._rows("SELECT message FROM jobs ORDER BY number")
        return [Job.FromString(row[0]) for row in rows]

    def save_job(self, job: Job) -> None:
        self._write(
            "INSERT INTO jobs (id, message) VALUES (?1, ?2) "
            "ON CONFLICT (id) DO UPDATE SET message = ?2",
            job.id,
            job.SerializeToString(),
        )

    def forget_job(self, job_id: str) -> None:
        self._write("DELETE FROM jobs WHERE id = ?", job_id)

    def paces(self) -> dict[str, float]:
        """Kind of work to its seconds on this machine over those of the built-in table."""
        return dict(self._rows("SELECT kind, pace FROM paces"))

    def save_pace(self, kind: str, pace: float) -> None:
        self._write("INSERT OR REPLACE INTO paces VALUES (?, ?)", kind, pace)

    def _migrate(self, path: Path) -> None:
        with self._transaction():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise StorageError(
                    f"{path} was written by a newer Inbetween: install that one again, or set "
                    "INBETWEEN_HOME to another folder."
                )
            if version == 0:
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
            else:
                for earlier in range(version, SCHEMA_VERSION):
                    for statement in MIGRATIONS[earlier].split(";"):
                        self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def _write(self, statement: str, *values: Any) -> None:
        with self._write_errors(), self._lock:
            self._connection.execute(statement, values)

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The server's state cannot be written ({error}): make room on its disk."
            ) from error


def _take_of(record: str) -> TakeRecord:
    values: dict[str, Any] = json.loads(record)
    drift = values.get("drift")
    return TakeRecord(
        **values
        | {
            "painted_against": tuple(values["painted_against"]),
            "drift": Drift(**drift) if drift else None,
        }
    )


def _with_kind(record: str) -> Mapping[str, Any]:
    values: dict[str, Any] = json.loads(record)
    return values | {"kind": FrameKind(**values["kind"])}


def _session_of(
    message: bytes, cuts_known: int, effect_settings: bytes | None, media: str
) -> SessionState:
    state = session_of(SessionMessage.FromString(message))
    effect = settings_of(Settings.FromString(effect_settings)) if effect_settings else None
    cuts = state.cuts if cuts_known else None
    return replace(state, cuts=cuts, media=media, effect_settings=effect)
