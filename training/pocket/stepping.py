"""Training steps: working weights in bfloat16, true weights in float32, an average of them, and on
a graphics card one CUDA graph for the whole step.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 300
LARGEST_GRADIENT = 1.0


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
        torch.save({**state, "optimizer": self.optimizer.state_dict()}, file)

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
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
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
