"""Looks and colour changes made by fixed filters, on pictures [B, 3, H, W] in 0..1.

A look is told by its picture alone: nothing in it is drawn at random, since key frames would not
agree in it. Patterns repeat with the cells of the latents (8 px) or of the U-Net's coarsest level
(32 px), where the model always knows which part of the pattern comes next.
"""

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

_PANE_CELL = 32
_PANE_COLOUR_WEIGHT = 3.0
"""How many cells of the grid a difference from black to white is worth."""
_PANE_ROUNDS = 4


def pencil(pictures: Tensor) -> Tensor:
    """Graphite on paper: colour dodge with a blurred negative, and hatching in the shadows."""
    gray = luminance(pictures)
    dodge = (gray / (blur(gray, 6.0) + 0.03)).clamp(0, 1)
    rows, columns = _grid(gray)
    hatching = 0.5 + 0.5 * torch.sin((rows + columns) * (2 * math.pi / 8))
    shadow = ((0.55 - blur(gray, 2.0)) * 2).clamp(0, 1)
    drawn = dodge.pow(2.5) * (1 - 0.55 * shadow * hatching)
    return _tinted(drawn, dark=(0.20, 0.20, 0.23), light=(0.97, 0.96, 0.93))


def ink(pictures: Tensor) -> Tensor:
    """Black brush lines and solid blacks on white."""
    calm = luminance(kuwahara(pictures, 3))
    lines = _line_drawing(calm, sigma=1.6, sharpness=14.0, threshold=0.72)
    return lines.expand(-1, 3, -1, -1)


def blueprint(pictures: Tensor) -> Tensor:
    """White lines on Prussian blue, and a hint of the tones."""
    gray = luminance(kuwahara(pictures, 3))
    lines = (gradient(blur(gray, 1.5)) * 14).clamp(0, 1)
    tones = ((gray - gray.mean((2, 3), keepdim=True)) * 0.35 + 0.12).clamp(0, 1)
    drawn = (0.85 * lines + tones).clamp(0, 1)
    return _tinted(drawn, dark=(0.03, 0.14, 0.40), light=(0.93, 0.97, 1.0))


def neon(pictures: Tensor) -> Tensor:
    """Glowing outlines in the picture's own hues on near black, white where they are brightest."""
    lines = (gradient(blur(kuwahara(pictures, 3), 1.8)) * 11 - 0.15).clamp(0, 1)
    hues = saturate(blur(pictures, 4.0), 4.0)
    hues = hues / hues.amax(1, keepdim=True).clamp_min(0.2)
    light = 1.1 * lines + 0.9 * blur(lines, 5.0)
    core = (blur(lines, 0.8) - 0.55).clamp(0, 1)
    return (0.04 * pictures + hues * light + core).clamp(0, 1)


def stained_glass(pictures: Tensor) -> Tensor:
    """Panes of one vivid colour each between leads, cut along the shapes of the picture."""
    flat = saturate(kuwahara(pictures, 4), 1.6)
    panes, colours = _panes(flat)
    borders = (functional.max_pool2d(panes, 3, 1, 1) != panes) | (
        functional.max_pool2d(-panes, 3, 1, 1) != -panes
    )
    leads = (1.3 * blur(borders.to(pictures.dtype), 0.8)).clamp(0, 1)
    return saturate(colours, 1.7) * (1 - leads) + 0.04 * leads


def in_touches(painted: Tensor) -> Tensor:
    """A painting of the teacher in touches of one colour each, without its grain of a few pixels:
    key frames do not agree in such, and in a film it crawls.
    """
    return kuwahara(blur(painted, 1.0), 3)


def in_own_shading(painted: Tensor, pictures: Tensor) -> Tensor:
    """A painting with half of the picture's own light and shade, by which its subject is known."""
    light, own = luminance(painted), luminance(kuwahara(pictures, 3))
    middle, depth = _levels(light)
    own_middle, own_depth = _levels(own)
    own = (own - own_middle) * (depth / own_depth).clamp_min(0.5) + middle
    return (painted + 0.5 * (own - blur(light, 6.0))).clamp(0, 1)


def in_own_colours(painted: Tensor, pictures: Tensor) -> Tensor:
    """The picture in flat touches, with the relief of a painting's strokes."""
    light = luminance(painted)
    relief = light - blur(light, 6.0)
    _, depth = _levels(relief)
    return (saturate(kuwahara(pictures, 4), 1.3) + 0.07 * relief / depth).clamp(0, 1)


def watercolour(pictures: Tensor) -> Tensor:
    """Flat washes, to whose rims the pigment has run: dark there, and paler further in."""
    washes = kuwahara(kuwahara(pictures, 5), 4)
    rims = 1.6 * gradient(blur(washes, 1.2)).clamp(0, 0.35)
    runs = 1.5 * luminance(washes - blur(washes, 8.0)).clamp(-0.12, 0.12)
    pale = 1 - (1 - saturate(washes, 1.7)) * 0.8
    return (pale * (1 - 0.9 * rims) + runs + 0.02).clamp(0, 1)


def comic(pictures: Tensor) -> Tensor:
    """Strong flat colours, black outlines, and dots of a printed screen in the half-tones."""
    flat = _posterised(saturate(kuwahara(pictures, 4), 1.9), levels=4)
    dots = _screen(flat, period=8.0, tone=blur(luminance(pictures), 1.5))
    outlines = _line_drawing(luminance(pictures), sigma=1.5, sharpness=16.0, threshold=0.62)
    return (flat * (0.62 + 0.38 * dots) * outlines).clamp(0, 1)


def cartoon(pictures: Tensor) -> Tensor:
    """Cel animation: soft flat colours inside thin dark outlines."""
    flat = _posterised(saturate(kuwahara(kuwahara(pictures, 5), 4), 1.7), levels=5)
    outlines = _outlines(luminance(kuwahara(pictures, 3)), sigma=1.6, sharpness=60.0)
    return (flat.pow(0.8) * (0.08 + 0.92 * outlines)).clamp(0, 1)


def pointillist(pictures: Tensor) -> Tensor:
    """Round touches of pure colour on a cream ground, in two staggered layers: a warm and light
    one, a cold and dark one, which the eye mixes.
    """
    vivid = saturate(pictures, 1.7)
    canvas = _colour(pictures, 0.93, 0.89, 0.80).expand_as(pictures)
    for shift, tint in ((0, (0.18, 0.10, -0.06)), (4, (-0.14, -0.07, 0.12))):
        colours, touch = _touches(vivid, cell=8, shift=shift)
        colours = (colours + _colour(pictures, *tint)).clamp(0, 1)
        canvas = canvas * (1 - touch) + colours * touch
    return canvas


def unchanged(pictures: Tensor) -> Tensor:
    return pictures


def warm(pictures: Tensor) -> Tensor:
    return (
        pictures * _colour(pictures, 1.15, 1.0, 0.72) + _colour(pictures, 0.05, 0.01, 0.0)
    ).clamp(0, 1)


def cold(pictures: Tensor) -> Tensor:
    return (
        pictures * _colour(pictures, 0.72, 0.95, 1.12) + _colour(pictures, 0.0, 0.02, 0.07)
    ).clamp(0, 1)


def dark(pictures: Tensor) -> Tensor:
    return pictures.pow(1.5) * 0.62


def bright(pictures: Tensor) -> Tensor:
    return (pictures.pow(0.62) * 1.08).clamp(0, 1)


def sepia(pictures: Tensor) -> Tensor:
    return _tinted(luminance(pictures), dark=(0.12, 0.07, 0.03), light=(1.0, 0.92, 0.76))


def monochrome(pictures: Tensor) -> Tensor:
    return luminance(pictures).expand(-1, 3, -1, -1)


def vivid(pictures: Tensor) -> Tensor:
    return saturate(pictures, 2.0)


def muted(pictures: Tensor) -> Tensor:
    return saturate(pictures, 0.42)


def contrasty(pictures: Tensor) -> Tensor:
    return ((pictures - 0.5) * 1.8 + 0.5).clamp(0, 1)


def faded(pictures: Tensor) -> Tensor:
    return saturate(pictures, 0.75) * 0.55 + 0.36


def luminance(pictures: Tensor) -> Tensor:
    weights = pictures.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    return (pictures * weights).sum(1, keepdim=True)


def saturate(pictures: Tensor, amount: float) -> Tensor:
    gray = luminance(pictures)
    return (gray + (pictures - gray) * amount).clamp(0, 1)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with mirrored borders."""
    radius = math.ceil(2.5 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = functional.pad(x, (radius,) * 4, mode="reflect")
    x = functional.conv2d(x, kernel[..., None], groups=x.shape[1])
    return functional.conv2d(x, kernel[:, :, None], groups=x.shape[1])


def gradient(x: Tensor) -> Tensor:
    """Length of the colour gradient, [B, 1, H, W]."""
    padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return (across**2 + down**2).sum(1, keepdim=True).sqrt()


def kuwahara(x: Tensor, radius: int) -> Tensor:
    """The mean of whichever of four neighbouring squares varies least."""
    size = radius + 1
    padded = functional.pad(x, (radius,) * 4, mode="reflect")
    mean = functional.avg_pool2d(padded, size, stride=1)
    spread = functional.avg_pool2d(padded**2, size, stride=1) - mean**2
    spread = spread.sum(1, keepdim=True)
    height, width = x.shape[-2:]
    corners = [(0, 0), (0, radius), (radius, 0), (radius, radius)]
    means = torch.stack([mean[..., y : y + height, x_ : x_ + width] for y, x_ in corners])
    spreads = torch.stack([spread[..., y : y + height, x_ : x_ + width] for y, x_ in corners])
    calmest = spreads.argmin(0, keepdim=True).expand(-1, -1, means.shape[2], -1, -1)
    return means.gather(0, calmest)[0]


def _levels(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each picture, the latter never 0."""
    return gray.mean((2, 3), keepdim=True), gray.std((2, 3), keepdim=True).clamp_min(0.01)


def _panes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The picture, sides multiples of 32, cut into superpixels (SLIC, Achanta et al. 2012), which
    are diamonds where it is even: their numbers [B, 1, H, W] and colours [B, 3, H, W].
    """
    places = torch.stack(torch.broadcast_tensors(*_grid(pictures))) / _PANE_CELL
    colours = _PANE_COLOUR_WEIGHT * pictures
    features = torch.cat([places.expand(len(pictures), -1, -1, -1), colours], 1)
    first, second = _PANE_CELL // 4, 3 * _PANE_CELL // 4
    centres = torch.stack(
        [features[..., start::_PANE_CELL, start::_PANE_CELL] for start in (first, second)], 2
    ).flatten(2)
    for _ in range(_PANE_ROUNDS):
        number = _nearest_pane(features, centres)
        pixels = number.flatten(2).expand(-1, features.shape[1], -1)
        sums = torch.zeros_like(centres).scatter_add_(2, pixels, features.flatten(2))
        sizes = torch.zeros_like(centres).scatter_add_(
            2, pixels, torch.ones_like(features).flatten(2)
        )
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    colours = centres.gather(2, pixels)[:, 2:] / _PANE_COLOUR_WEIGHT
    return number.to(pictures), colours.view_as(pictures)


def _nearest_pane(features: Tensor, centres: Tensor) -> Tensor:
    """For every pixel the number of the nearest centre, of those that began in its cell of the
    grid or beside it; [B, 1, H, W].
    """
    height, width = features.shape[-2:]
    down, across = height // _PANE_CELL, width // _PANE_CELL
    rows, columns = _grid(features)
    nearest = torch.full_like(features[:, 0], torch.inf)
    number = torch.zeros_like(nearest, dtype=torch.long)
    for layer, row, column in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)):
        i = ((rows // _PANE_CELL).long() + row).clamp(0, down - 1)
        j = ((columns // _PANE_CELL).long() + column).clamp(0, across - 1)
        candidate = (layer * down + i) * across + j
        distance = (centres[:, :, candidate] - features).square().sum(1)
        number = torch.where(distance < nearest, candidate, number)
        nearest = torch.minimum(nearest, distance)
    return number[:, None]


def _outlines(gray: Tensor, sigma: float, sharpness: float) -> Tensor:
    """1 on even areas, 0 on outlines: a thresholded difference of Gaussians."""
    difference = blur(gray, sigma) - blur(gray, 1.6 * sigma)
    return (1 + torch.tanh(sharpness * (difference + 0.010))).clamp(0, 1)


def _line_drawing(gray: Tensor, sigma: float, sharpness: float, threshold: float) -> Tensor:
    """Lines, and black wherever the picture is dark."""
    sharp = blur(gray, sigma) * 20 - blur(gray, 1.6 * sigma) * 19
    return (1 + torch.tanh(sharpness * (sharp - threshold * 0.5))).clamp(0, 2) / 2


def _posterised(pictures: Tensor, levels: int) -> Tensor:
    """Steps of lightness with soft edges; hues stay."""
    light = luminance(pictures).clamp_min(0.02)
    scaled = light * levels
    nearest = scaled.round()
    stepped = (nearest + 0.5 * torch.tanh(4 * (scaled - nearest))) / levels
    return (pictures * stepped / light).clamp(0, 1)


def _screen(pictures: Tensor, period: float, tone: Tensor) -> Tensor:
    """Dots at 45 degrees that grow as the tone darkens: 0 inside a dot."""
    rows, columns = _grid(pictures)
    angle = 2 * math.pi / period
    wave = torch.cos(rows * angle) * torch.cos(columns * angle)
    return torch.sigmoid(8 * (tone * 2 - 0.75 - wave))


def _touches(pictures: Tensor, cell: int, shift: int) -> tuple[Tensor, Tensor]:
    """The colour of each cell of a grid, and the round touch inside it."""
    padded = functional.pad(pictures, (shift, cell, shift, cell), mode="replicate")
    colours = functional.avg_pool2d(padded, cell, stride=cell)
    colours = functional.interpolate(colours, scale_factor=cell, mode="nearest")
    height, width = pictures.shape[-2:]
    colours = colours[..., shift : shift + height, shift : shift + width]
    rows, columns = _grid(pictures)
    middle = (cell - 1) / 2
    distance = (
        ((rows + shift) % cell - middle) ** 2 + ((columns + shift) % cell - middle) ** 2
    ).sqrt()
    return colours, torch.sigmoid(4 * (0.38 * cell - distance))


def _tinted(
    tone: Tensor, dark: tuple[float, float, float], light: tuple[float, float, float]
) -> Tensor:
    low, high = _colour(tone, *dark), _colour(tone, *light)
    return (low + (high - low) * tone).clamp(0, 1)


def _colour(like: Tensor, red: float, green: float, blue: float) -> Tensor:
    return like.new_tensor((red, green, blue)).view(1, 3, 1, 1)


def _grid(pictures: Tensor) -> tuple[Tensor, Tensor]:
    height, width = pictures.shape[-2:]
    rows = torch.arange(height, device=pictures.device, dtype=pictures.dtype).view(-1, 1)
    columns = torch.arange(width, device=pictures.device, dtype=pictures.dtype).view(1, -1)
    return rows, columns
