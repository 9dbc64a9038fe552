"""The algebra of noise: one for all schedules."""

from dataclasses import dataclass
from math import hypot

from torch import Tensor


@dataclass(frozen=True)
class Level:
    """How much noise is in a latent: x = alpha x0 + sigma e, Eq. 2.

    A schedule that preserves the variance has alpha = sqrt(abar_t) and sigma = sqrt(1 - abar_t),
    flow matching alpha = 1 - sigma.
    """

    time: float
    """The model's own name for the level; no two levels of a painting share one."""
    alpha: float
    sigma: float

    def noised(self, x0: Tensor, noise: Tensor) -> Tensor:
        return self.alpha * x0 + self.sigma * noise

    def pure(self, noise: Tensor) -> Tensor:
        """What a latent is here of which nothing is left but its strength."""
        return hypot(self.alpha, self.sigma) * noise


CLEAN = Level(time=0, alpha=1.0, sigma=0.0)
"""After the last step."""
