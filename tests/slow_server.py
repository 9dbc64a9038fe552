"""A server whose worker paints with the built-in model, and takes its time where it is told to."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from inbetween.v1.render_pb2 import StartJobRequest
from inbetween.v1.session_pb2 import Session
from inbetween.v1.settings_pb2 import KeySettings, Settings, TranslationSettings

from server.serving import RunningServer, ServerOptions, serve
from tests.server.conftest import Caller

STEP_SECONDS = 0.8
SLOW = """
import os, time
import engine.translation.stable_diffusion.loading as loading
from engine.translation.method.preview import RoughDecoder
from engine.translation.stable_diffusion.networks import StableDiffusion

def slowed(kind, name):
    whole = getattr(kind, name)
    def slow(*arguments, **named):
        if os.path.exists({folder!r} + "/slow " + name):
            with open({folder!r} + "/calls", "a") as calls:
                calls.write(".")
            time.sleep({seconds})
        return whole(*arguments, **named)
    setattr(kind, name, slow)

for name in ("predict", "encode", "decode"):
    slowed(StableDiffusion, name)
fitted = RoughDecoder.fitted
def counted(*arguments):
    open({folder!r} + "/previews were made", "w").close()
    return fitted(*arguments)
RoughDecoder.fitted = counted
load = loading.load_stable_diffusion
def load_slowly(*arguments, **named):
    while os.path.exists({folder!r} + "/slow load"):
        time.sleep(0.1)
    return load(*arguments, **named)
loading.load_stable_diffusion = load_slowly
"""
"""What a worker reads as it starts: the built-in model, as slow as a large one on a processor."""


@dataclass(frozen=True)
class SlowServer:
    """A server whose worker takes its time where a file says so."""

    running: RunningServer
    caller: Caller
    folder: Path

    def be_slow(self, *names: str) -> None:
        for file in self.folder.glob("slow *"):
            file.unlink()
        for name in names:
            (self.folder / f"slow {name}").touch()

    def calls_begun(self) -> int:
        """How many of the slow calls there have been."""
        calls = self.folder / "calls"
        return calls.stat().st_size if calls.exists() else 0

    def open(self, clip: Path, keys: list[int], **translation: Any) -> Session:
        usual: dict[str, Any] = {"painter": "diffusion", "prompt": "watercolour", "steps": 6}
        settings = Settings(
            keys=KeySettings(key_interval=0), translation=TranslationSettings(**usual | translation)
        )
        return self.caller.open(clip, keys, settings)

    def start(self, session: Session) -> str:
        request = StartJobRequest(session_id=session.id, keys_only=True)
        return str(self.caller.render.StartJob(request).job.id)


@contextmanager
def slow_server() -> Iterator[SlowServer]:
    """A server of its own, with a worker that reads `SLOW`."""
    with tempfile.TemporaryDirectory(prefix="ib") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(SLOW.format(folder=name, seconds=STEP_SECONDS))
        patch.setenv("PYTHONPATH", name)
        patch.setenv("OMP_NUM_THREADS", "1")
        options = ServerOptions(folder / "s", folder / "l", folder / "h")
        with serve(options) as running, grpc.insecure_channel(running.address) as channel:
            yield SlowServer(running, Caller.on(channel), folder)
