"""Pictures of a plan kept in memory, for what is short and is thrown away."""

from dataclasses import dataclass, field

from engine.errors import NotFoundError
from engine.plan import Address
from engine.store import StoredPicture
from engine.translation.painter import Trajectory
from engine.types import Frame, Precision


@dataclass
class MemoryStore:
    """A store that keeps pictures as one on disk does, rounded to their precision."""

    pictures: dict[Address, StoredPicture] = field(default_factory=dict)
    trajectories: dict[Address, Trajectory] = field(default_factory=dict)
    sequence: dict[int, Address] = field(default_factory=dict)

    def has(self, address: Address) -> bool:
        return address in self.pictures

    def load(self, address: Address) -> StoredPicture:
        if address not in self.pictures:
            raise NotFoundError(f"There is no picture {address}.")
        return self.pictures[address]

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None:
        self.pictures[address] = picture.rounded(precision)

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        self.trajectories[take] = trajectory

    def load_trajectory(self, take: Address) -> Trajectory | None:
        return self.trajectories.get(take)

    def delivered(self, index: int) -> Address | None:
        return self.sequence.get(index)

    def deliver(self, frame: Frame, address: Address) -> None:
        self.sequence[frame.index] = address
