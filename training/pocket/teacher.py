"""The style-transfer network whose pictures the model learns from, as a torch module.

The network of Quick style, that of Dumoulin et al. with 26 styles (A Learned Representation for
Artistic Style, 2017), comes as ONNX; its layers are few and regular, so they are rebuilt here to
run many pictures at once on a graphics card.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

STYLES = 26
_CONTRACT = ("contract.0", "contract.1", "contract.2")
_RESIDUAL = tuple((f"res.{block}.0", f"res.{block}.1") for block in range(6))
_EXPAND = ("expand.0", "expand.1", "expand.2")
_EPSILON_NAME = "/contract.0/norm/Constant_4_output_0"


class Teacher(nn.Module):
    """Paints pictures [B, 3, H, W] in 0..1, sides multiples of 4, in one style for each."""

    def __init__(self, onnx_file: Path) -> None:
        super().__init__()
        import onnx  # type: ignore[import-not-found]
        from onnx import numpy_helper

        graph = onnx.load(str(onnx_file)).graph
        self.tables = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in graph.initializer
        }
        constants = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
        self.epsilon = float(numpy_helper.to_array(constants[_EPSILON_NAME].attribute[0].t))

    def to_device(self, device: torch.device | str, dtype: torch.dtype) -> "Teacher":
        self.tables = {name: table.to(device, dtype) for name, table in self.tables.items()}
        return self

    @torch.inference_mode()
    def forward(self, pictures: Tensor, styles: Tensor) -> Tensor:
        """`styles` [B] holds a number from 0 to 25 for each picture."""
        x = pictures.to(self.tables["contract.0.w"].dtype)
        for stride, name in zip((1, 2, 2), _CONTRACT, strict=True):
            x = functional.relu(self._layer(x, name, styles, stride))
        for first, second in _RESIDUAL:
            inner = functional.relu(self._layer(x, first, styles))
            x = x + self._layer(inner, second, styles)
        for name in _EXPAND[:2]:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.relu(self._layer(x, name, styles))
        return self._layer(x, _EXPAND[2], styles).float().sigmoid()

    def _layer(self, x: Tensor, name: str, styles: Tensor, stride: int = 1) -> Tensor:
        """Convolution, then instance normalisation with the style's own scale and shift."""
        weight = self.tables[f"{name}.w"]
        x = functional.pad(x, (weight.shape[-1] // 2,) * 4, mode="reflect")
        x = functional.conv2d(x, weight, stride=stride)
        x = functional.instance_norm(x, eps=self.epsilon)
        scale = self.tables[f"{name}.norm.gamma"][styles]
        shift = self.tables[f"{name}.norm.beta"][styles]
        return x * scale[:, :, None, None] + shift[:, :, None, None]


def teacher_file() -> Path:
    """The ONNX file that Quick style paints with."""
    from importlib.resources import files

    return Path(str(files("engine.translation") / "style_model" / "multistyle26.onnx"))
