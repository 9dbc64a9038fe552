"""The training of the built-in model: what can be stated without training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from engine.translation.models.files import pocket_folder
from training.pocket.models import new_scheduler
from training.pocket.retime import retime
from training.pocket.stepping import Course, Weights
from training.pocket.train_diffusion import LARGEST_WEIGHT, Networks, PaintingLoss, _scheduler


def signal_to_noise(scheduler: Any) -> torch.Tensor:
    signal: torch.Tensor = scheduler.alphas_cumprod.double()
    return signal / (1 - signal)


def stable_diffusions() -> Any:
    return DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)


def test_a_schedule_without_slowness_is_that_of_stable_diffusion() -> None:
    made, usual = new_scheduler(0), stable_diffusions()
    assert torch.allclose(made.alphas_cumprod, usual.alphas_cumprod, atol=1e-6)


def test_the_slower_noise_comes_the_less_of_it_there_is_until_the_end() -> None:
    usual, slow, slower = map(signal_to_noise, (stable_diffusions(), *map(new_scheduler, (3, 5))))
    assert (slower[:-1] > slow[:-1]).all()
    assert (slow[:-1] > usual[:-1]).all()
    ends = torch.stack([slow[-1], slower[-1]])
    assert torch.allclose(ends, usual[-1].expand_as(ends), rtol=1e-3)


def test_what_is_saved_with_a_model_is_the_schedule_it_was_trained_with(tmp_path: Path) -> None:
    made = new_scheduler(5)
    made.save_pretrained(tmp_path)
    assert torch.equal(DDIMScheduler.from_pretrained(tmp_path).alphas_cumprod, made.alphas_cumprod)


@pytest.mark.parametrize("slowness", [0, 5])
def test_a_network_taken_over_to_another_schedule_does_what_it_did_at_the_same_noise(
    slowness: float,
) -> None:
    folder = pocket_folder()
    before = UNet2DConditionModel.from_pretrained(folder / "unet").float()
    after = UNet2DConditionModel.from_pretrained(folder / "unet").float()
    old, new = DDIMScheduler.from_pretrained(folder / "scheduler"), new_scheduler(slowness)
    retime(after, old, new)
    torch.manual_seed(0)
    x, text = torch.randn(1, before.config.in_channels, 16, 16), torch.randn(1, 77, 128)
    for time in (50, 200, 450):
        same_noise = (signal_to_noise(new) - signal_to_noise(old)[time]).abs().argmin()
        with torch.no_grad():
            wanted = before(x, time, text).sample
            error = after(x, same_noise, text).sample - wanted
            without = before(x, same_noise, text).sample - wanted
        assert error.square().mean() < 0.01 * wanted.square().mean()
        assert error.square().mean() < 0.1 * without.square().mean()


def test_a_training_that_was_ended_goes_on_from_where_it_was(tmp_path: Path) -> None:
    def begun() -> tuple[Course, Weights]:
        torch.manual_seed(0)
        weights = Weights([network := torch.nn.Linear(4, 1)], learning_rate=0.01)
        course = Course(weights, tmp_path / "linear.state", seconds=0.5)
        pictures = torch.ones(2, 4, dtype=torch.bfloat16)
        course.run(0.5, lambda x: network(x).square().mean(), lambda: (pictures,))
        return course, weights

    first, trained = begun()
    first.stop()
    assert first.steps > 0
    second, gone_on = begun()
    assert second.steps == first.steps
    assert all(map(torch.equal, gone_on.true, trained.true))


def test_a_model_that_was_begun_keeps_its_schedule(tmp_path: Path) -> None:
    begun = _scheduler(tmp_path / "scheduler", 5.0)
    assert torch.equal(_scheduler(tmp_path / "scheduler", None).betas, begun.betas)
    with pytest.raises(SystemExit, match="--slowness 4 is not that of"):
        _scheduler(tmp_path / "scheduler", 4.0)


def test_errors_of_x0_weigh_as_the_signal_up_to_a_limit() -> None:
    """An error of v is one of x0 over the noise's share."""
    scheduler = new_scheduler()
    loss = PaintingLoss(Networks(None, None, None), scheduler.alphas_cumprod)
    noise_share = 1 - scheduler.alphas_cumprod.double()
    of_x0 = loss.weight.double() / noise_share
    expected = signal_to_noise(scheduler).clamp(max=LARGEST_WEIGHT)
    assert torch.allclose(of_x0, expected, rtol=0.01)


def test_the_shipped_model_has_the_schedule_that_the_training_makes() -> None:
    shipped = DDIMScheduler.from_pretrained(pocket_folder() / "scheduler")
    assert torch.equal(shipped.alphas_cumprod, new_scheduler().alphas_cumprod)
