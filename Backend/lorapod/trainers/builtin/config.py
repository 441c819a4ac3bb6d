"""The subset of AI Toolkit's training config that this trainer understands.

A key outside the subset is refused by its name. Some keys are accepted although they change nothing here, because every
AI Toolkit template has them:

- `meta`, `config.process[].performance_log_every`: notes and timing print-outs.
- `config.process[].device`: AI Toolkit itself ignores it; CUDA is used if there is any, else the CPU.
- `datasets[].cache_latents`, `cache_latents_to_disk`, `num_workers`, `train.cache_text_embeddings`,
  `unload_text_encoder`: latents and prompts are always encoded once and kept in memory; nothing is written into the
  dataset's folder, and the text encoders are freed before the first step.
- switches of what this trainer cannot do, as long as they are off: `quantize: false`, `push_to_hub: false`,
  `ema_config: {use_ema: false}` and the like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lorapod.trainers.builtin.values import (
    Architecture,
    Name,
    Off,
    Precision,
    PrecisionName,
    Side,
    Sides,
    architecture,
)


class ConfigSection(BaseModel):
    """One mapping of the config."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())


class NetworkSection(ConfigSection):
    """The adapter that is trained."""

    type: Literal["lora"] = "lora"
    #: The rank of every matrix.
    linear: int = Field(default=4, ge=1, le=1024, validation_alias=AliasChoices("linear", "rank"))
    #: The adapter's output is scaled by this divided by the rank.
    linear_alpha: float = Field(default=1.0, gt=0, validation_alias=AliasChoices("linear_alpha", "alpha"))
    #: The LoRA whose weights it begins with; set by the worker.
    pretrained_lora_path: str | None = None


class SaveSection(ConfigSection):
    """Checkpoints."""

    dtype: PrecisionName = Precision.FP16
    #: Steps between two checkpoints; 0 means only the final one.
    save_every: int = Field(default=1000, ge=0)
    #: Older ones are deleted; the final one is not counted.
    max_step_saves_to_keep: int = Field(default=5, ge=1)
    save_format: Literal["safetensors"] = "safetensors"
    push_to_hub: Off = False


class DatasetSection(ConfigSection):
    """One folder of images, with captions in text files of the same stem."""

    folder_path: str = Field(min_length=1)
    caption_ext: str = Field(default="txt", pattern=r"^\.?[A-Za-z0-9_-]{1,16}$")
    #: For images without a caption file.
    default_caption: str = ""
    #: Share of steps for which an image's caption is left empty.
    caption_dropout_rate: float = Field(default=0.0, ge=0, le=1)
    #: With several, every image is trained at each of them.
    resolution: Sides = (512,)
    #: How often every image is in one epoch.
    num_repeats: int = Field(default=1, ge=1, le=10_000)
    #: Train every image mirrored as well, left to right.
    flip_x: bool = False
    cache_latents: bool = True
    cache_latents_to_disk: bool = False
    num_workers: int = 0
    shuffle_tokens: Off = False
    is_reg: Off = False
    random_crop: Off = False

    @field_validator("default_caption", mode="before")
    @classmethod
    def _no_caption_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value


class OptimizerSection(ConfigSection):
    """The optimizer's parameters besides the learning rate."""

    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)


class ValidationItem(ConfigSection):
    """One image that is not trained on."""

    image_path: str
    prompt: str = ""


class ValidationSection(ConfigSection):
    """Images whose loss is logged as `val/loss`."""

    validation_items: tuple[ValidationItem, ...] = Field(min_length=1)
    #: Steps between two looks.
    validate_every_n_steps: int = Field(ge=1)
    resolution: Side = 512


class TrainSection(ConfigSection):
    """The training itself."""

    batch_size: int = Field(default=1, ge=1, le=1024)
    #: The number of all steps, including those of earlier runs.
    steps: int = Field(default=1000, ge=1)
    #: Batches in one step.
    gradient_accumulation: int = Field(default=1, ge=1)
    #: Steps in one update of the weights; a resume loses gradients that are not used yet.
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    train_unet: Literal[True] = True
    train_text_encoder: Off = False
    gradient_checkpointing: bool = True
    noise_scheduler: Literal["ddpm"] = "ddpm"
    optimizer: Literal["adamw", "adam"] = "adamw"
    optimizer_params: OptimizerSection = OptimizerSection()
    lr: float = Field(default=1e-6, gt=0, le=1)
    lr_scheduler: Literal["constant"] = "constant"
    max_grad_norm: float = Field(default=1.0, gt=0)
    #: Precision of the frozen base model and of the arithmetic on a GPU; a CPU always takes float32.
    dtype: PrecisionName = Precision.FP32
    disable_sampling: bool = False
    #: Make no images before the first step.
    skip_first_sample: bool = False
    #: It decides noise, timesteps, data order and the adapter's first weights.
    seed: int = Field(default=42, ge=0, lt=2**63)
    cache_text_embeddings: bool = False
    unload_text_encoder: bool = False
    ema_config: Mapping[str, Any] | None = None
    #: Set by the worker.
    validation_config: ValidationSection | None = None

    @field_validator("ema_config")
    @classmethod
    def _no_averaging(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if value is not None and value.get("use_ema", True) is not False:
            raise PydanticCustomError(
                "unsupported", "averaging of weights is not supported by the builtin trainer"
            )
        return value

    @model_validator(mode="after")
    def _one_kind_of_accumulation(self) -> TrainSection:
        if self.gradient_accumulation > 1 and self.gradient_accumulation_steps > 1:
            raise PydanticCustomError(
                "contradiction", "set gradient_accumulation or gradient_accumulation_steps, not both"
            )
        return self


class ModelSection(ConfigSection):
    """The base model: a folder in diffusers' layout, one `.safetensors` file, or a hub id."""

    name_or_path: str = Field(min_length=1)
    arch: Annotated[Architecture, BeforeValidator(architecture)] = Architecture.SD1
    is_xl: bool | None = None
    is_v2: Off = False
    is_v3: Off = False
    is_flux: Off = False
    quantize: Off = False
    quantize_te: Off = False
    low_vram: Off = False

    @model_validator(mode="before")
    @classmethod
    def _is_xl_means_sdxl(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping) or fields.get("arch") is not None:
            return fields
        known = {key: value for key, value in fields.items() if key != "arch"}
        return {**known, "arch": Architecture.SDXL} if fields.get("is_xl") is True else known

    @model_validator(mode="after")
    def _one_architecture(self) -> ModelSection:
        if self.is_xl is not None and self.is_xl != (self.arch is Architecture.SDXL):
            raise PydanticCustomError(
                "contradiction", "is_xl and arch contradict each other; leave one of them out"
            )
        return self


class SampleSection(ConfigSection):
    """Sample images that are made during the training."""

    sampler: Literal["ddpm", "ddim", "euler", "euler_a"] = "ddpm"
    #: Steps between two rounds of images; 0 means only before and after the training.
    sample_every: int = Field(default=100, ge=0)
    sample_start_step: int = Field(default=0, ge=0)
    width: Side = 512
    height: Side = 512
    prompts: tuple[str, ...] = Field(default=(), max_length=100)
    neg: str = ""
    seed: int = Field(default=0, ge=0, lt=2**62)
    #: Give every prompt its own seed: `seed` plus the number of the prompt.
    walk_seed: bool = False
    guidance_scale: float = Field(default=7.0, ge=0)
    sample_steps: int = Field(default=20, ge=1, le=1000)

    @field_validator("neg", mode="before")
    @classmethod
    def _no_negative_prompt_is_empty(cls, value: Any) -> Any:
        return "" if value is None or value is False else value


class LoggingSection(ConfigSection):
    """The loss log."""

    #: Steps between two entries.
    log_every: int = Field(default=1, ge=1)
    #: Whether `loss_log.db` is written.
    use_ui_logger: bool = True
    verbose: bool = False
    use_wandb: Off = False


class ProcessSection(ConfigSection):
    """One training."""

    type: Literal["sd_trainer", "diffusion_trainer"]
    training_folder: str = Field(min_length=1)
    model: ModelSection
    datasets: tuple[DatasetSection, ...] = Field(min_length=1)
    trigger_word: str | None = None
    network: NetworkSection = NetworkSection()
    save: SaveSection = SaveSection()
    train: TrainSection = TrainSection()
    sample: SampleSection = SampleSection()
    logging: LoggingSection = LoggingSection()
    #: SQLite file of the control table; used if it exists and `AITK_JOB_ID` is set.
    sqlite_db_path: str | None = None
    device: str | None = None
    performance_log_every: int = 0

    @model_validator(mode="before")
    @classmethod
    def _training_seed_is_the_seed(cls, fields: Any) -> Any:
        """Move AI Toolkit's own key for the seed, which is beside `train`, into `train`."""
        if not isinstance(fields, Mapping) or fields.get("training_seed") is None:
            return fields
        train = fields.get("train", {})
        if not isinstance(train, Mapping):
            return fields
        rest = {key: value for key, value in fields.items() if key != "training_seed"}
        return {**rest, "train": {"seed": fields["training_seed"], **train}}


class JobSection(ConfigSection):
    """The value of `config`."""

    name: Name
    process: tuple[ProcessSection] = Field(description="Exactly one.")


class BuiltinConfig(ConfigSection):
    """A whole config file."""

    job: Literal["extension"]
    config: JobSection
    meta: Any = None

    @property
    def name(self) -> str:
        """Return the stem of every artifact's file name."""
        return self.config.name

    @property
    def process(self) -> ProcessSection:
        """Return the config of the one training."""
        return self.config.process[0]
