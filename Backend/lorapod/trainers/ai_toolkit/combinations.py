"""Settings that are right alone and fail together; AI Toolkit finds most of them after the model has loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.trainers.ai_toolkit.arch import arch_of
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.ai_toolkit.schema import ToolkitSchema

_PROCESS = "config.process[0]"
#: Architectures whose model is a U-Net, which has convolutions.
_U_NETS = frozenset({"sd1", "sd2", "sdxl", "vega", "ssd"})
#: Architectures that encode control images with the text.
_ENCODE_CONTROLS = frozenset({"qwen_image_edit", "boogu_image_edit"})
#: Images beside each image of a dataset.
_BESIDE = ("control_path", "inpaint_path", "mask_path", "unconditional_path")

#: Beginnings of the optimizers to which AI Toolkit passes `eps` itself.
_SETS_EPS = ("adam", "ademamix", "dadaptation", "prodigy")

#: Numbers with their limits, by section; `datasets` is every dataset.
_LIMITS: tuple[tuple[str, str, float, float | None], ...] = (
    ("datasets", "num_repeats", 1, None),
    ("datasets", "batch_size", 1, None),
    ("datasets", "num_frames", 1, None),
    ("datasets", "fps", 1, None),
    ("datasets", "bucket_tolerance", 1, None),
    ("datasets", "num_workers", 0, None),
    ("datasets", "caption_dropout_rate", 0, 1),
    ("datasets", "token_dropout_rate", 0, 1),
    ("network", "dropout", 0, 1),
    ("train", "prompt_dropout_prob", 0, 1),
    ("train", "switch_boundary_every", 1, None),
    ("train.ema_config", "ema_decay", 0, 1),
    ("train.validation_config", "validate_every_n_steps", 1, None),
)


@dataclass(frozen=True, kw_only=True)
class _Sections:
    """The sections of one process; those that are missing are empty."""

    process: Mapping[str, Any]
    train: Mapping[str, Any]
    model: Mapping[str, Any]
    datasets: Sequence[Mapping[str, Any]]

    @property
    def arch(self) -> str:
        return arch_of(self.model)

    @property
    def caches_text(self) -> bool:
        return bool(self.train.get("cache_text_embeddings")) or any(
            dataset.get("cache_text_embeddings") for dataset in self.datasets
        )


#: A check adds a problem by the place of a key below the process.
_Add = Callable[[str, str], None]


def check_combinations(process: Mapping[str, Any], schema: ToolkitSchema, problems: Problems) -> None:
    """Add a problem for each setting that another one excludes, and for each number beyond its limits."""

    def add(place: str, error: str) -> None:
        if not problems.has(f"{_PROCESS}.{place}"):
            problems.add(f"{_PROCESS}.{place}", error)

    sections = _Sections(
        process=process,
        train=process.get("train") or {},
        model=process.get("model") or {},
        datasets=process.get("datasets") or [],
    )
    _check_preservation(sections, add)
    _check_text_encoder(sections, add)
    _check_model(sections, add)
    _check_training(sections, add)
    _check_datasets(sections, add)
    _check_limits(process, add)
    _check_scheduler(sections, schema, problems)


def _check_preservation(sections: _Sections, add: _Add) -> None:
    train, process = sections.train, sections.process
    difference, blank = train.get("diff_output_preservation"), train.get("blank_prompt_preservation")
    if difference and blank:
        add(
            "train.blank_prompt_preservation",
            "does not go with diff_output_preservation; set one of them to false",
        )
    if (difference or blank) and process.get("network") is None:
        add("network", "is required: output preservation compares with the model without its network")
    triggers = (process.get("trigger_word"), *(dataset.get("trigger_word") for dataset in sections.datasets))
    if difference and not any(triggers):
        add("trigger_word", "is required with train.diff_output_preservation, which replaces it by the class")
    if difference and train.get("train_text_encoder"):
        add("train.train_text_encoder", "does not go with diff_output_preservation; set one of them to false")


def _check_text_encoder(sections: _Sections, add: _Add) -> None:
    train = sections.train
    unloads = train.get("unload_text_encoder")
    if train.get("train_text_encoder") and (unloads or sections.caches_text):
        other = "unload_text_encoder" if unloads else "cache_text_embeddings"
        add("train.train_text_encoder", f"does not go with {other}; set one of them to false")
    if unloads and sections.arch in _ENCODE_CONTROLS:
        add(
            "train.unload_text_encoder",
            f"does not go with the arch {sections.arch!r}, which encodes control images with the text; use "
            "cache_text_embeddings",
        )
    if sections.caches_text and not train.get("cache_text_embeddings"):
        for place, dataset in enumerate(sections.datasets):
            if not dataset.get("cache_text_embeddings"):
                add(
                    f"datasets[{place}].cache_text_embeddings",
                    "must be true in every dataset or in none; train.cache_text_embeddings sets all",
                )


def _check_model(sections: _Sections, add: _Add) -> None:
    model = sections.model
    adapter = model.get("accuracy_recovery_adapter") or "|" in str(model.get("qtype") or "")
    if adapter and model.get("assistant_lora_path"):
        add(
            "model.assistant_lora_path",
            "does not go with an accuracy recovery adapter; leave one of them out",
        )
    network = sections.process.get("network") or {}
    if network.get("type") == "dora" and sections.arch in _U_NETS:
        add(
            "network.type",
            "'dora' has no convolutions, which Stable Diffusion 1, 2 and XL have; use 'lora' or 'lokr'",
        )
    if sections.arch != "flux":
        for place, section, key in (
            ("model.attn_masking", model, "attn_masking"),
            ("model.split_model_over_gpus", model, "split_model_over_gpus"),
            ("decorator", sections.process, "decorator"),
        ):
            if section.get(key):
                add(place, f"goes only with the arch 'flux'; this config has {sections.arch!r}")


def _check_training(sections: _Sections, add: _Add) -> None:
    train = sections.train
    bypass = train.get("bypass_guidance_embedding") or (
        sections.arch == "flux" and sections.model.get("use_flux_cfg")
    )
    if bypass and train.get("do_guidance_loss"):
        add("train.do_guidance_loss", "does not go with bypass_guidance_embedding; set one of them to false")
    if (
        _number(train.get("gradient_accumulation"), 1) > 1
        and train.get("gradient_accumulation_steps", 1) != 1
    ):
        add(
            "train.gradient_accumulation_steps",
            "does not go with gradient_accumulation; leave one of them out",
        )
    _check_optimizer(train, add)
    if train.get("lr_scheduler") == "step":
        add(
            "train.lr_scheduler",
            "AI Toolkit cannot start 'step': it passes a setting that 'step' does not take",
        )
    least, most = train.get("min_denoising_steps", 0), train.get("max_denoising_steps", 999)
    if _number(least, 0) > _number(most, 999):
        add("train.min_denoising_steps", f"{least} is more than max_denoising_steps, which is {most}")


def _check_optimizer(train: Mapping[str, Any], add: _Add) -> None:
    """Refuse parameters that AI Toolkit passes itself: the optimizer gets them twice and fails."""
    parameters = train.get("optimizer_params")
    if not isinstance(parameters, Mapping):
        return
    optimizer = str(train.get("optimizer", "")).lower()
    if "lr" in parameters:
        add("train.optimizer_params.lr", "is set twice; write it as train.lr alone")
    if "eps" in parameters and optimizer.startswith(_SETS_EPS):
        add("train.optimizer_params.eps", f"AI Toolkit sets it for {optimizer} itself; remove it")


def _check_datasets(sections: _Sections, add: _Add) -> None:
    if sections.datasets and all(dataset.get("is_reg") for dataset in sections.datasets):
        add(
            "datasets[0].is_reg",
            "every dataset is for regularisation, so there is nothing to learn; add the dataset with your subject, "
            "or set it to false",
        )
    for is_reg in (False, True):
        places = [
            place for place, dataset in enumerate(sections.datasets) if bool(dataset.get("is_reg")) is is_reg
        ]
        without = [place for place in places if sections.datasets[place].get("buckets") is False]
        if without and len(without) < len(places):
            add(f"datasets[{without[0]}].buckets", "must be false in every dataset or in none")
    for place, dataset in enumerate(sections.datasets):
        if dataset.get("poi") is not None:
            add(f"datasets[{place}].poi", "is no longer supported by AI Toolkit; remove it")
        if dataset.get("type", "image") != "image":
            add(f"datasets[{place}].type", "must be 'image', for videos and sounds too; remove it")
        if dataset.get("buckets") is False:
            _check_without_buckets(place, dataset, add)


def _check_without_buckets(place: int, dataset: Mapping[str, Any], add: _Add) -> None:
    if dataset.get("batch_size") is not None:
        add(f"datasets[{place}].batch_size", "does not go with buckets: false; use train.batch_size")
    needs = next((key for key in _BESIDE if dataset.get(key)), None)
    if needs is None and (dataset.get("auto_frame_count") or _number(dataset.get("num_frames"), 1) > 1):
        needs = "num_frames"
    if needs is not None:
        add(f"datasets[{place}].buckets", f"must be true with {needs}")


def _check_limits(process: Mapping[str, Any], add: _Add) -> None:
    for section, key, least, most in _LIMITS:
        for place, values in _values(process, section):
            number = values.get(key)
            if not isinstance(number, int | float) or isinstance(number, bool):
                continue
            if number < least or (most is not None and number > most):
                allowed = f"between {least} and {most}" if most is not None else f"at least {least}"
                add(f"{place}.{key}", f"{number} is not {allowed}")


def _values(process: Mapping[str, Any], section: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    found: Any = process
    for part in section.split("."):
        found = (found or {}).get(part)
    match found:
        case list():
            return [(f"{section}[{place}]", entry) for place, entry in enumerate(found)]
        case dict():
            return [(section, found)]
    return []


def _check_scheduler(sections: _Sections, schema: ToolkitSchema, problems: Problems) -> None:
    """Warn of a noise scheduler with which AI Toolkit's own interface never trains the architecture."""
    arch = {"sd1": "sd15"}.get(sections.arch, sections.arch)
    usual = {
        model.defaults["train.noise_scheduler"]
        for name, model in schema.models.items()
        if name.split(":")[0] == arch and "train.noise_scheduler" in model.defaults
    }
    given = sections.train.get("noise_scheduler", schema.key("train.noise_scheduler").default)
    if len(usual) == 1 and given not in usual and {given, *usual} & {"flowmatch"}:
        problems.warn(
            f"{_PROCESS}.train.noise_scheduler is {given!r}{'' if 'noise_scheduler' in sections.train else ' by default'}; "
            f"models of the arch {sections.arch!r} are trained with {usual.pop()!r}."
        )


def _number(value: object, otherwise: float) -> float:
    return value if isinstance(value, int | float) else otherwise
