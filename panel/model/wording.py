"""How the panel says things."""

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb

from panel.model.session import SessionModel

FRAME_STATE_NAMES = {
    pb.FRAME_STATE_MISSING: "not rendered",
    pb.FRAME_STATE_OUT_OF_DATE: "out of date",
    pb.FRAME_STATE_RENDERING: "rendering",
    pb.FRAME_STATE_READY: "ready",
    pb.FRAME_STATE_FAILED: "failed",
    pb.FRAME_STATE_SOURCE: "source: no key frame in this shot",
}

KEY_STATE_NAMES = {
    pb.KEY_FRAME_STATE_UNPAINTED: "not painted yet",
    pb.KEY_FRAME_STATE_OUT_OF_DATE: "out of date",
    pb.KEY_FRAME_STATE_READY: "ready",
    pb.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER: "against an older key",
}

PAINTED_BY_HAND = "painted"


def plural(count: int, noun: str) -> str:
    """`1 key frame`, `2 key frames`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """A length of time as one says it: `40 s`, `1 min 10 s`, `2 h 5 min`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def time_text(seconds: float, *, is_rough: bool) -> str:
    """How long something takes, as exactly as it is known: `about 1 min 10 s`, `roughly 4 min`, `a
    few seconds`.
    """
    return _rough(seconds) if is_rough else f"about {duration(seconds)}"


def _rough(seconds: float) -> str:
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"roughly {round(seconds, -1):.0f} s"
    minutes = seconds / 60
    if minutes < 9.5:
        return f"roughly {max(1, minutes):.0f} min"
    if minutes < 85:
        return f"roughly {minutes / 10:.0f}0 min"
    return f"roughly {minutes / 60:.0f} h"


def price(renewal: render_pb2.EstimateCostResponse | None, *, of_each: bool = False) -> str:
    """What stands on the button that starts the work: ` · 1 min 10 s`, ` · roughly 4 min`; of all
    its paintings or of each of them. Empty: there is nothing to paint.
    """
    if renewal is None or not renewal.to_do.paintings or renewal.seconds <= 0:
        return ""
    seconds = renewal.seconds / (renewal.to_do.paintings if of_each else 1)
    return f" · {time_text(seconds, is_rough=renewal.rough).removeprefix('about ')}"


def cost(estimate: render_pb2.EstimateCostResponse) -> str:
    """What a render would do: `2 paintings, 105 in-betweens, about 1 min 10 s`."""
    to_do = estimate.to_do
    work = [
        plural(count, noun)
        for count, noun in (
            (to_do.paintings, "painting"),
            (to_do.propagations, "propagation"),
            (to_do.blends, "blend"),
        )
        if count
    ]
    if not work:
        return "nothing left to render"
    if estimate.seconds > 0:
        work.append(time_text(estimate.seconds, is_rough=estimate.rough))
    return ", ".join(work)


def job_progress(job: pb.Job) -> str:
    """What a job is doing: `Painting key frame 61 · step 12 of 20`."""
    texts = {
        pb.STAGE_QUEUED: "Waiting for its turn",
        pb.STAGE_STARTING: "Starting",
        pb.STAGE_LOADING_MODEL: "Loading the model",
        pb.STAGE_FINDING_CUTS: "Looking for cuts",
        pb.STAGE_PAINTING: f"Painting key frame {job.frame}",
        pb.STAGE_PROPAGATING: f"In-betweens · frame {job.frame}",
        pb.STAGE_BLENDING: f"Blending · frame {job.frame}",
    }
    if job.state == pb.JOB_STATE_QUEUED:
        return texts[pb.STAGE_QUEUED]
    return " · ".join(part for part in (texts.get(job.stage, "Working"), steps_of(job)) if part)


def steps_of(job: pb.Job) -> str:
    """How far the work on a frame has come: `step 12 of 20`, of a model `45 MB`."""
    if not job.steps:
        return ""
    if job.stage == pb.STAGE_LOADING_MODEL:
        return f"{job.steps:,} MB"
    return f"step {job.step} of {job.steps}"


def key_work(model: SessionModel, frame: int) -> str:
    """What is done for a key frame now: `painting, step 9 of 20`; empty: nothing."""
    job, painted = model.job, model.painting_frame()
    if job is None or painted is None:
        return ""
    if painted != frame:
        return f"waits for key frame {painted}" if model.awaits_painting(frame) else ""
    work = "loading the model" if job.stage == pb.STAGE_LOADING_MODEL else "painting"
    return ", ".join(part for part in (work, steps_of(job)) if part)


def take_in_use(key: pb.KeyFrame) -> pb.Take | None:
    """The take that the key frame shows."""
    return next((take for take in key.takes if take.address == key.take), None)


def is_painted_by_hand(key: pb.KeyFrame) -> bool:
    take = take_in_use(key)
    return take is not None and take.painter == PAINTED_BY_HAND


def drift_of(key: pb.KeyFrame) -> pb.Drift | None:
    """How far the take in use has gone from its anchor; None where that is not known."""
    take = take_in_use(key)
    return take.drift if take is not None and take.HasField("drift") else None


def drift_text(drift: pb.Drift) -> str:
    """`Drift from key 0: colour 3.1, structure 0.001`."""
    return (
        f"Drift from key {drift.anchor_index}: colour {drift.color:.1f}, "
        f"structure {drift.structure:.3f}"
    )


def key_summary(key: pb.KeyFrame, *, is_anchor: bool) -> str:
    """A key frame in one line, for lists and screen readers."""
    parts = [KEY_STATE_NAMES.get(key.state, "new")]
    if is_anchor:
        parts.append("anchor")
    if (drift := drift_of(key)) is not None and drift.is_large:
        parts.append("drifted")
    if is_painted_by_hand(key):
        parts.append("painted by hand")
    if key.placement == pb.PLACEMENT_AUTOMATIC:
        parts.append("by the key interval")
    if key.HasField("prompt"):
        parts.append(f"“{key.prompt}”")
    if key.prompt_addition:
        parts.append(f"+ “{key.prompt_addition}”")
    return " · ".join(parts)
