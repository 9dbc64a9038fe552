"""Measures a model folder on the held-out pictures and paints the sheet of the model card.

python -m training.pocket.evaluate MODEL .pocket_data/pictures REPORT
"""

import argparse
import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from training.pocket.looks import LOOKS
from training.pocket.pairs import (
    Painter,
    centre_crop,
    cut_crops,
    find_edges,
    painted_chunks,
    plan_pairs,
    read_pictures,
)
from training.pocket.sample import Sampling, load, paint

EDGE_TOLERANCE = 2
SETTINGS = {
    "default": Sampling(),
    "default, draft of 8 steps": Sampling(steps=8),
    "default, guidance 3": Sampling(guidance_scale=3.0),
    "strength 0.5": Sampling(strength=0.5),
    "strength 0.75": Sampling(strength=0.75),
    "strength 1": Sampling(strength=1.0),
    "strength 1, draft of 8 steps": Sampling(strength=1.0, steps=8),
    "strength 1, guidance 3": Sampling(strength=1.0, guidance_scale=3.0),
    "strength 1, edges 0": Sampling(strength=1.0, control_weight=0.0),
    "strength 1, edges 1": Sampling(strength=1.0, control_weight=1.0),
}
_CLASSIFIER_STEPS = 1200
_SHOWN = 256
_SHEET_TILE = 176
_BATCH = 24


def evaluate(model: Path, pictures: Path, report: Path) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report.mkdir(parents=True, exist_ok=True)
    held_out = torch.stack([centre_crop(p) for p in read_pictures(pictures / "held-out", device)])
    pipeline, painter = load(model, device), Painter(device)
    figures: dict[str, object] = {"vae_psnr_db": psnr(pipeline.vae, held_out)}
    targets = _painted_by_teacher(held_out, painter)
    classifier = train_classifier(pictures / "train", painter, device)
    figures["teacher"] = _judged(targets, held_out, classifier)
    _save_sheet(held_out, targets, report / "sheet-teacher.jpg")
    for name, sampling in SETTINGS.items():
        painted = _painted_by_model(pipeline, held_out, sampling)
        figures[name] = _judged(painted, held_out, classifier)
        _save_sheet(
            held_out, painted, report / f"sheet-{name.replace(', ', '-')}.jpg".replace(" ", "-")
        )
        print(name, figures[name], flush=True)
        (report / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


@torch.inference_mode()
def psnr(vae: Any, pictures: Tensor) -> list[float]:
    """Of each picture after encoding and decoding, in dB."""
    found = []
    for picture in pictures:
        original = picture[None].float() / 127.5 - 1
        decoded = vae.decode(vae.encode(original).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((decoded - original) / 2).square().mean()
        found.append(round(-10 * error.log10().item(), 2))
    return found


def edge_score(first: Tensor, second: Tensor) -> float:
    """F-score of two maps of edges [H, W], each edge allowed to be 2 px off."""
    size = 2 * EDGE_TOLERANCE + 1

    def near(edges: Tensor) -> Tensor:
        grown = functional.max_pool2d(edges[None, None].float(), size, 1, EDGE_TOLERANCE)
        return grown[0, 0] > 0

    precision = (first.bool() & near(second)).sum() / first.sum().clamp_min(1)
    recall = (second.bool() & near(first)).sum() / second.sum().clamp_min(1)
    return float(2 * precision * recall / (precision + recall).clamp_min(1e-6))


def train_classifier(pictures: Path, painter: Painter, device: torch.device) -> nn.Module:
    """Tells the looks apart, learnt from the teacher's pictures of the training photographs."""
    rng = random.Random(1)  # noqa: S311
    crops = cut_crops(read_pictures(pictures, device), 300, rng)
    pairs = plan_pairs(len(crops), len(LOOKS) // 2, rng)
    bank = torch.empty((len(pairs), 3, _SHOWN, _SHOWN), dtype=torch.uint8, device=device)
    for first, painted in painted_chunks(pairs, crops, painter):
        bank[first : first + len(painted)] = _quantised(_small(painted))
    labels = torch.tensor([pair.look for pair in pairs], device=device)
    network = _new_classifier().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, _CLASSIFIER_STEPS)
    for _ in range(_CLASSIFIER_STEPS):
        pick = torch.randint(len(bank), (64,), device=device)
        with torch.autocast(device.type, torch.bfloat16):
            scores = network(bank[pick].float() / 127.5 - 1)
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(scores.float(), labels[pick]))
        optimizer.step()
        schedule.step()
    return network.eval()


def _new_classifier() -> nn.Module:
    layers: list[nn.Module] = []
    widths = (3, 32, 64, 96, 128, 160)
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], len(LOOKS))
    )


def _painted_by_teacher(pictures: Tensor, painter: Painter) -> Tensor:
    """uint8 [looks, pictures, 3, S, S]."""
    sources = pictures.float() / 255
    return torch.stack([_quantised(painter.paint(sources, look, 0)) for look in LOOKS])


def _painted_by_model(pipeline: Any, pictures: Tensor, sampling: Sampling) -> Tensor:
    """uint8 [looks, pictures, 3, S, S]."""
    prompts = [f"a {look.name}" for look in LOOKS for _ in pictures]
    sources = pictures.repeat(len(LOOKS), 1, 1, 1)
    painted = torch.cat(
        [
            _quantised(paint(pipeline, part, prompts[first : first + len(part)], sampling))
            for first, part in zip(
                range(0, len(prompts), _BATCH), torch.split(sources, _BATCH), strict=True
            )
        ]
    )
    return painted.view(len(LOOKS), *pictures.shape)


@torch.inference_mode()
def _judged(painted: Tensor, pictures: Tensor, classifier: nn.Module) -> dict[str, object]:
    """Share of pictures whose look is recognised, and mean edge F-score against the source: of the
    offered looks, and of each look, with the looks that it was taken for.
    """
    edges = find_edges(pictures)
    hits: dict[str, float] = {}
    scores: dict[str, float] = {}
    mistakes: dict[str, Counter[str]] = {}
    for number, (look, row) in enumerate(zip(LOOKS, painted, strict=True)):
        named = classifier(_small(row.float() / 255) * 2 - 1).argmax(1)
        hits[look.name] = (named == number).float().mean().item()
        mistakes[look.name] = Counter(LOOKS[other].name for other in named if other != number)
        each = [edge_score(*both) for both in zip(find_edges(row), edges, strict=True)]
        scores[look.name] = sum(each) / len(each)
    offered = [look.name for look in LOOKS if look.offered]
    return {
        "look_accuracy": round(sum(hits[name] for name in offered) / len(offered), 3),
        "edge_f_score": round(sum(scores[name] for name in offered) / len(offered), 3),
        "by_look": {
            name: (round(hits[name], 3), round(scores[name], 3), mistakes[name]) for name in hits
        },
    }


def _small(pictures: Tensor, side: int = _SHOWN) -> Tensor:
    return functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)


def _quantised(pictures: Tensor) -> Tensor:
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8)


def _save_sheet(pictures: Tensor, painted: Tensor, file: Path) -> None:
    """A row for each picture: the source, then every look."""
    columns = [_small(column.float(), _SHEET_TILE) for column in (pictures, *painted)]
    grid = torch.cat([torch.cat(list(column), 1) for column in columns], 2)
    array = grid.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(array).save(file, quality=82)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "pictures", "report"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    evaluate(options.model, options.pictures, options.report)
