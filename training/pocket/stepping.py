"""Training steps: working weights in bfloat16, true weights in float32, an average of them, and on
a graphics card one CUDA graph for the whole step.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 300
LARGEST_GRADIENT = 1.0
_LOG_EVERY_STEPS = 500
_SAVE_EVERY_SECONDS = 120.0


class Weights:
    """The weights of several networks, updated by AdamW."""

    def __init__(self, networks: Sequence[nn.Module], learning_rate: float) -> None:
        self.working: list[Tensor] = [
            weight for network in networks for weight in network.parameters()
        ]
        self.true = [weight.detach().float().clone() for weight in self.working]
        self.average = [weight.clone() for weight in self.true]
        for network in networks:
            network.to(torch.bfloat16)
        on_card = self.true[0].is_cuda
        self.peak_rate = learning_rate
        self.rate = torch.tensor(learning_rate, device=self.true[0].device)
        self.optimizer = torch.optim.AdamW(
            self.true,
            lr=self.rate if on_card else learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=on_card,
            capturable=on_card,
        )
        for weight in self.true:
            weight.grad = torch.zeros_like(weight)

    def forget_gradients(self) -> None:
        for weight in self.working:
            weight.grad = None

    @torch.no_grad()
    def update(self) -> None:
        """One AdamW step from the gradients of the working weights."""
        pairs = [
            (weight.grad, working.grad)
            for weight, working in zip(self.true, self.working, strict=True)
            if weight.grad is not None and working.grad is not None
        ]
        gradients = [gradient for gradient, _ in pairs]
        torch._foreach_copy_(gradients, [gradient for _, gradient in pairs])
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (LARGEST_GRADIENT / (norm + 1e-6)).clamp(max=1.0))
        self.optimizer.step()
        torch._foreach_copy_(self.working, self.true)
        torch._foreach_lerp_(self.average, self.true, 1 - AVERAGE_DECAY)

    def set_rate(self, step: int, progress: float) -> None:
        """Linear warm-up, then a half cosine over the whole training (`progress` 0..1)."""
        factor = min(1.0, (step + 1) / WARM_UP_STEPS)
        factor *= 0.02 + 0.98 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        self.rate.fill_(self.peak_rate * factor)
        if not self.rate.is_cuda:
            self.optimizer.param_groups[0]["lr"] = self.peak_rate * factor

    def put_average(self) -> None:
        """The averaged weights become the working ones, in float32."""
        for working, average in zip(self.working, self.average, strict=True):
            working.data = average.clone()
            working.grad = None

    def save(self, file: Path, **facts: float) -> None:
        state = {"true": self.true, "average": self.average, "facts": facts}
        written = file.with_suffix(".part")
        torch.save({**state, "optimizer": self.optimizer.state_dict()}, written)
        written.replace(file)  # whole, or not at all

    def load(self, file: Path) -> dict[str, float]:
        state: dict[str, Any] = torch.load(file, map_location=self.true[0].device)
        torch._foreach_copy_(self.true, state["true"])
        torch._foreach_copy_(self.average, state["average"])
        with torch.no_grad():
            torch._foreach_copy_(self.working, self.true)
        self.optimizer.load_state_dict(state["optimizer"])
        self.optimizer.param_groups[0]["lr"] = self.rate if self.rate.is_cuda else self.peak_rate
        facts: dict[str, float] = state["facts"]
        return facts


class Step:
    """A training step over inputs of fixed shapes."""

    def __init__(
        self, weights: Weights, loss: Callable[..., Tensor], example: Sequence[Tensor]
    ) -> None:
        self.weights = weights
        self.loss = loss
        self.inputs = [tensor.clone() for tensor in example]
        self.graph = self._captured() if example[0].is_cuda else None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The loss, before the update."""
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        if self.graph is None:
            return self._eager()
        self.graph.replay()
        return self.result

    def _eager(self) -> Tensor:
        self.weights.forget_gradients()
        loss = self.loss(*self.inputs)
        torch.autograd.backward(loss)
        self.weights.update()
        return loss.detach()

    def _captured(self) -> torch.cuda.CUDAGraph:
        torch.backends.cudnn.benchmark = True
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._eager()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        self.weights.forget_gradients()
        with torch.cuda.graph(graph):
            self.result = self._eager()
        torch.backends.cudnn.benchmark = False
        return graph


class Course:
    """A training that is counted in seconds. Its work is kept in a file, from which the next call
    goes on.
    """

    def __init__(self, weights: Weights, state: Path, seconds: float) -> None:
        self._weights = weights
        self._state = state
        self._whole = seconds
        done = weights.load(state) if state.exists() else {"steps": 0.0, "seconds": 0.0}
        self.steps = int(done["steps"])
        self._before = done["seconds"]
        self._start: float | None = None
        self._saved = 0.0

    def run(
        self,
        until: float,
        loss_of: Callable[..., Tensor],
        draw: Callable[[], Sequence[Tensor]],
        stop_after: float = math.inf,
    ) -> None:
        """Steps until that share of the whole time, or for `stop_after` seconds of this call."""
        if self._start is None:
            self._start = self._saved = time.monotonic()
        end = min(self._whole * until, self._before + stop_after)
        step: Step | None = None
        while (elapsed := self._elapsed()) < end:
            step = step or Step(self._weights, loss_of, draw())
            self._weights.set_rate(self.steps, elapsed / self._whole)
            loss = step(*draw())
            if self.steps % _LOG_EVERY_STEPS == 0:
                print(f"{elapsed:.0f} s step {self.steps} loss {loss.item():.4f}", flush=True)
            self.steps += 1
            if time.monotonic() - self._saved > _SAVE_EVERY_SECONDS:
                self._save()

    def stop(self) -> None:
        self._save()
        print(f"{self._elapsed():.0f} s step {self.steps}: stopped", flush=True)

    def _elapsed(self) -> float:
        return self._before + (time.monotonic() - self._start if self._start is not None else 0.0)

    def _save(self) -> None:
        self._weights.save(self._state, steps=self.steps, seconds=self._elapsed())
        self._saved = time.monotonic()
