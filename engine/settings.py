"""The settings of the method.

protos/inbetween/v1/settings.proto describes each to its user; a test holds the two together, name
by name and default by default.
"""

from dataclasses import dataclass, field
from itertools import combinations

from engine.errors import InvalidValueError

CONTROLNETS = ("controlnet", "controlnet_2")
"""The settings that name a ControlNet each, and begin the names of what belongs to it."""
MOVIE = "movie"
"""The image of a ControlNet that comes from the control movie and not from the source."""


@dataclass(frozen=True)
class KeySettings:
    """Where key frames stand."""

    key_interval: int = 10


@dataclass(frozen=True)
class SourceSettings:
    """How the pixels of the source are to be understood."""

    color_space: str = "srgb"


@dataclass(frozen=True)
class ControlSettings:
    """One ControlNet that is in use."""

    name: str
    """Of the setting that names it."""
    controlnet: str
    image: str
    weight: float
    begin: float
    end: float


@dataclass(frozen=True)
class TranslationSettings:
    """How key frames are painted (section 4.1)."""

    painter: str = "diffusion"
    prompt: str = "an oil painting"
    negative_prompt: str = ""
    strength: float = 0.6
    seed: int = 0
    sampler: str = "ddim"
    steps: int = 20
    guidance_scale: float = 0.0
    model: str = "pocket"
    vae: str = ""
    loras: str = ""
    embeddings: str = ""
    freeu: bool = False
    controlnet: str = "pocket"
    controlnet_image: str = "canny"
    controlnet_weight: float = 0.7
    controlnet_begin: float = 0.0
    controlnet_end: float = 1.0
    controlnet_2: str = ""
    controlnet_2_image: str = "tile"
    controlnet_2_weight: float = 0.7
    controlnet_2_begin: float = 0.0
    controlnet_2_end: float = 1.0
    depth_model: str = "depth-anything/Depth-Anything-V2-Small-hf"
    pose_model: str = "usyd-community/vitpose-base-simple"
    person_detector: str = "PekingU/rtdetr_r50vd_coco_o365"
    control_movie: str = ""
    cross_frame_attention: str = "decoder"
    shape_fusion: bool = True
    pixel_fusion: bool = True
    fusion_strength: float = 0.5
    fusion_detail: float = 0.9
    adain: bool = True
    match_colors: bool = False
    shape_fusion_end: float = 0.1
    pixel_fusion_begin: float = 0.5
    pixel_fusion_end: float = 0.8
    adain_begin: float = 0.8

    def __post_init__(self) -> None:
        if self.pixel_fusion and self.pixel_fusion_begin >= self.pixel_fusion_end:
            raise InvalidValueError(
                f"pixel_fusion_begin is {self.pixel_fusion_begin:.10g}: choose less than "
                f"pixel_fusion_end, which is {self.pixel_fusion_end:.10g}."
            )
        for control in self.controls:
            if control.begin >= control.end:
                raise InvalidValueError(
                    f"{control.name}_begin is {control.begin:.10g}: choose less than "
                    f"{control.name}_end, which is {control.end:.10g}."
                )
        for one, other in combinations(self.controls, 2):
            if one.image == other.image:
                raise InvalidValueError(
                    f"{one.name}_image and {other.name}_image are both {one.image}: choose another "
                    f"one for {other.name}, or leave {other.name} empty."
                )

    @property
    def controls(self) -> tuple[ControlSettings, ...]:
        """The ControlNets that are in use."""
        return tuple(
            ControlSettings(
                name,
                getattr(self, name),
                getattr(self, f"{name}_image"),
                getattr(self, f"{name}_weight"),
                getattr(self, f"{name}_begin"),
                getattr(self, f"{name}_end"),
            )
            for name in CONTROLNETS
            if getattr(self, name)
        )


@dataclass(frozen=True)
class PropagationSettings:
    """How key frames are carried to the frames between them (section 4.2)."""

    quality: str = "standard"
    patch_size: int = 5
    uniformity: float = 3500.0
    color_weight: float = 6.0
    edge_weight: float = 0.5
    position_weight: float = 2.0
    temporal_weight: float = 0.5
    poisson_weight: float = 0.0
    flow_estimator: str = "dis"
    flow_weights: str = ""

    def __post_init__(self) -> None:
        if self.patch_size % 2 == 0:
            raise InvalidValueError(
                f"patch_size is {self.patch_size}: choose an odd number from 3 to 15."
            )


@dataclass(frozen=True)
class RenderSettings:
    """Everything that decides what a clip becomes."""

    keys: KeySettings = field(default_factory=KeySettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    translation: TranslationSettings = field(default_factory=TranslationSettings)
    propagation: PropagationSettings = field(default_factory=PropagationSettings)
