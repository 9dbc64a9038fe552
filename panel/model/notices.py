"""The one thing the editor should know now: what happened, what is safe, and what to do."""

from dataclasses import dataclass
from enum import Enum

from inbetween.v1 import session_pb2 as pb

from panel.model.session import Link, SessionModel
from panel.model.wording import plural


class Tone(Enum):
    """How serious a notice is."""

    NEUTRAL = "neutral"
    WARNING = "warning"
    ERROR = "error"


class Remedy(Enum):
    """What a notice offers to do."""

    OPEN_MOVIE = "Open movie…"
    START_SERVER = "Start server"
    ADD_KEY = "Add key frame here"
    RETRY = "Try again"


@dataclass(frozen=True)
class Notice:
    """A state of the panel that needs words."""

    tone: Tone
    kind: str
    title: str
    text: str
    remedy: Remedy | None = None


OPEN_A_CLIP = (
    "Put the effect on a clip, then press Open key frames in its controls. Or open a movie file "
    "here and connect it later."
)


def notice_of(model: SessionModel) -> Notice | None:
    """The most urgent notice; None where all is well."""
    return _of_link(model) or _of_job(model) or _of_painter(model) or _of_keys(model)


def _of_link(model: SessionModel) -> Notice | None:
    if model.link is Link.CONNECTING and model.session is None:
        return Notice(Tone.NEUTRAL, "Connecting", "Looking for the render server", model.link_text)
    if model.link is Link.NO_SESSION:
        return Notice(
            Tone.NEUTRAL,
            "Empty: no clip",
            "The session was deleted" if model.session else "No clip yet",
            f"{model.link_text} {OPEN_A_CLIP}".strip(),
            Remedy.OPEN_MOVIE,
        )
    if model.link is Link.GONE:
        waiting = model.unsent_edits
        kept = f" {plural(waiting, 'change')} will be sent when it is back." if waiting else ""
        safe = "Your key frames are safe and you can keep editing."
        return Notice(
            Tone.ERROR,
            "Server gone",
            "The render server is not answering",
            f"{safe if model.session else ''} Nothing renders until it is back.{kept} "
            f"{model.link_text}".strip(),
            Remedy.START_SERVER,
        )
    return None


def _of_job(model: SessionModel) -> Notice | None:
    job = model.job
    if job is None or job.state != pb.JOB_STATE_FAILED:
        return None
    failed = model.frames.count(pb.FRAME_STATE_FAILED)
    title = f"{plural(failed, 'frame')} failed" if failed else "The render stopped"
    return Notice(
        Tone.ERROR, "Failed", title, f"{job.error} What is finished is kept.", Remedy.RETRY
    )


def _of_painter(model: SessionModel) -> Notice | None:
    painter = model.painter
    if painter is None or painter.available:
        return None
    return Notice(
        Tone.WARNING,
        "Painter missing",
        f"{painter.label} cannot paint here",
        f"{painter.reason} Key frames that have a painting are carried on without it.",
    )


def _of_keys(model: SessionModel) -> Notice | None:
    if model.session is None or model.session.key_frames:
        return None
    return Notice(
        Tone.NEUTRAL,
        "Empty: no key frames",
        "Place the first key frame",
        "Go to a frame that shows what matters and add a key frame there; then paint it and see "
        "it against the source.",
        Remedy.ADD_KEY,
    )
