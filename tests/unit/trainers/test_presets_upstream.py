"""The presets against a checkout of AI Toolkit: what it reads, and what its examples and its UI begin with."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from PIL import Image

from lorapod.trainers import presets
from lorapod.trainers.presets import build_config
from lorapod.wire.knobs import TrainKnobs

pytestmark = pytest.mark.ai_toolkit

#: What only says how much memory a training takes: tiers change it.
MEMORY = {
    "model.quantize",
    "model.quantize_te",
    "model.qtype",
    "model.qtype_te",
    "model.low_vram",
    "train.cache_text_embeddings",
}

#: What AI Toolkit takes if a config leaves it out.
DEFAULTS: Mapping[str, Any] = {
    "model.quantize": False,
    "model.low_vram": False,
    "model.qtype": "qfloat8",
    "model.qtype_te": "qfloat8",
    "model.model_kwargs": {},
    "train.unload_text_encoder": False,
    "train.cache_text_embeddings": False,
    "train.timestep_type": "sigmoid",
    "train.bypass_guidance_embedding": False,
    "train.switch_boundary_every": 1,
    "train.audio_loss_multiplier": 1.0,
    "train.ema_config.use_ema": False,
    "network.network_kwargs.ignore_if_contains": [],
    "datasets.num_frames": 1,
    "datasets.do_i2v": False,
    "datasets.auto_frame_count": False,
    "datasets.cache_latents_to_disk": False,
}

#: Where a preset differs from its source, and why.
DIFFERS: Mapping[tuple[str, str], str] = {
    ("chroma", "train.ema_config.use_ema"): "as before, from the example of Chroma's earlier checkpoints",
    ("flex2", "model.model_kwargs"): "the example's, which trains on generated controls as well",
    ("wan21", "train.unload_text_encoder"): "it would learn the trigger word alone and ignore the captions",
    (
        "wan21",
        "train.cache_text_embeddings",
    ): "in its place: the captions are learnt and the memory is free, too",
}

#: Compared with an example; of a UI model, what its defaults name.
COMPARED = (
    "network.linear",
    "network.linear_alpha",
    "network.network_kwargs.ignore_if_contains",
    "save.save_every",
    "datasets.caption_dropout_rate",
    "datasets.resolution",
    "datasets.num_frames",
    "train.steps",
    "train.batch_size",
    "train.noise_scheduler",
    "train.timestep_type",
    "train.optimizer",
    "train.lr",
    "train.dtype",
    "train.ema_config.use_ema",
    "train.bypass_guidance_embedding",
    "train.switch_boundary_every",
    "train.unload_text_encoder",
    "train.cache_text_embeddings",
    "model.name_or_path",
    "model.assistant_lora_path",
    "model.extras_name_or_path",
    "model.quantize",
    "model.quantize_te",
    "model.qtype",
    "model.qtype_te",
    "model.low_vram",
    "model.model_kwargs",
    "sample.sampler",
    "sample.width",
    "sample.height",
    "sample.num_frames",
    "sample.fps",
    "sample.guidance_scale",
    "sample.sample_steps",
)

SWITCHES = {"is_flux": "flux", "is_v3": "sd3", "is_lumina2": "lumina2", "is_xl": "sdxl"}


@pytest.fixture(scope="module")
def root() -> Path:
    path = Path(os.environ.get("AI_TOOLKIT_PATH", "/app/ai-toolkit"))
    if not (path / "toolkit" / "config_modules.py").is_file():
        pytest.skip("no AI Toolkit: set AI_TOOLKIT_PATH to a checkout")
    return path


def process_of(config: Mapping[str, Any]) -> dict[str, Any]:
    process: dict[str, Any] = config["config"]["process"][0]
    return process


def found(process: Mapping[str, Any], place: str) -> Any:
    """The value at `section.key`, or AI Toolkit's default."""
    value: Any = process
    for key in place.split("."):
        value = value[0] if isinstance(value, list) else value
        if not isinstance(value, Mapping) or key not in value:
            if place == "model.quantize_te":
                return found(process, "model.quantize")
            return DEFAULTS.get(place)
        value = value[key]
    return value


def of_example(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    # One of them lacks a quote.
    text = re.sub(r'^(\s*[\w]+: ")([^"\n#]+)$', r'\1\2"', text, flags=re.MULTILINE)
    process = process_of(yaml.safe_load(text))
    process["train"]["lr"] = float(process["train"]["lr"])
    return process


def of_ui(path: Path, name: str) -> dict[str, Any]:
    """A model's defaults, by place; each value has a second one, for the time after another model was chosen."""
    text = path.read_text(encoding="utf-8")
    start = text.index(f"    name: '{name}',")
    block = text[start : text.index("\n  },", start)]
    body = block[block.index("defaults: {") :]
    body = body[: body.index("\n    },") + len("\n    }")].removeprefix("defaults: ")
    body = re.sub(r"^\s*//.*$", "", body, flags=re.MULTILINE)
    fields: dict[str, list[Any]] = yaml.safe_load(body)
    places = {
        place.removeprefix("config.process[0].").replace("[x]", ""): values[0]
        for place, values in fields.items()
    }
    return {place: value for place, value in places.items() if value != "undefined"}


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_has_the_values_of_its_source(name: str, root: Path) -> None:
    preset = presets.get(name)
    ours = process_of(preset.config)
    ui = preset.upstream.startswith("ui:")
    options = root / "ui/src/app/jobs/new/options.tsx"
    if ui:
        theirs = of_ui(options, preset.upstream.removeprefix("ui:"))
        theirs.setdefault("train.timestep_type", "sigmoid")
        arch = preset.upstream.removeprefix("ui:").partition(":")[0]
    else:
        process = of_example(root / preset.upstream)
        theirs = {place: found(process, place) for place in COMPARED}
        model = process["model"]
        arch = model.get("arch") or next(arch for switch, arch in SWITCHES.items() if model.get(switch))
    # AI Toolkit knows SD 1.5 by no name of its own, and trains flex1 as flux.
    assert ours["model"]["arch"] == {"sd15": "sd1"}.get(arch, "flex1" if name == "flex1" else arch)
    assert ours["train"]["dtype"] == "bf16"
    different = {
        place: (found(ours, place), value)
        for place, value in theirs.items()
        if found(ours, place) != value
        and (name, place) not in DIFFERS
        and not (ui and place == "datasets.cache_latents_to_disk")
        and not (place == "train.timestep_type" and ours["train"]["noise_scheduler"] == "ddpm")
    }
    assert different == {}


@pytest.mark.parametrize("name", presets.names())
def test_a_tier_changes_memory_not_what_is_learnt(name: str) -> None:
    preset = presets.get(name)
    allowed = {"quantize", "quantize_te", "qtype", "qtype_te", "low_vram", "cache_text_embeddings"}
    allowed |= {"layer_offloading", "layer_offloading_transformer_percent", "resolution", "num_frames"}
    allowed |= {"layer_offloading_text_encoder_percent", "gradient_checkpointing"}
    for tier in preset.tiers:
        changed = {key for section in tier.process.values() for key in section}
        assert changed <= allowed, tier.name


@pytest.mark.parametrize("name", presets.names())
def test_the_adapters_of_a_tier_are_those_of_the_ui(name: str, root: Path) -> None:
    """Of each weight format with an accuracy recovery adapter, that AI Toolkit's UI offers the same for this model."""
    options = (root / "ui/src/app/jobs/new/options.tsx").read_text(encoding="utf-8")
    for tier in presets.get(name).tiers:
        qtype = process_of(build_config(name, TrainKnobs(tier=tier.name)))["model"].get("qtype", "")
        assert "|" not in qtype or f"'{qtype}'" in options


class ToolkitFacts:
    """The keys that a checkout of AI Toolkit reads, by section, and the archs that it knows."""

    CLASSES: ClassVar = {
        "network": "NetworkConfig",
        "save": "SaveConfig",
        "datasets": "DatasetConfig",
        "train": "TrainConfig",
        "model": "ModelConfig",
        "sample": "SampleConfig",
    }

    def __init__(self, root: Path) -> None:
        self.root = root
        tree = ast.parse((root / "toolkit" / "config_modules.py").read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.keys = {section: _read_keys(classes[name]) for section, name in self.CLASSES.items()}
        self.archs = {"sd1"} | {
            value
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ModelArch"
            for value in ast.literal_eval(ast.unparse(node.value).removeprefix("Literal"))
        }
        # Some of these files are no valid Python for every version of the parser: they are searched, not parsed.
        for path in [*(root / "extensions_built_in").rglob("*.py"), *(root / "toolkit/models").rglob("*.py")]:
            self.archs.update(
                re.findall(r"^    arch = [\"']([^\"']+)[\"']", path.read_text(encoding="utf-8"), re.MULTILINE)
            )


def _read_keys(node: ast.ClassDef) -> set[str]:
    """The constants `K` of every `kwargs.get(K, …)`."""
    return {
        call.args[0].value
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "kwargs.get"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


@pytest.fixture(scope="module")
def toolkit(root: Path) -> ToolkitFacts:
    return ToolkitFacts(root)


@pytest.mark.parametrize("name", presets.names())
def test_ai_toolkit_reads_every_key_of_each_preset(name: str, toolkit: ToolkitFacts) -> None:
    knobs = TrainKnobs(sample_prompts=[], trigger_word="ohwx", seed=1, resolution=512)
    for tier in presets.get(name).tiers:
        process = process_of(build_config(name, knobs.model_copy(update={"tier": tier.name})))
        reads_all(process, toolkit)


def reads_all(process: Mapping[str, Any], toolkit: ToolkitFacts) -> None:
    for section, known in toolkit.keys.items():
        content = process[section][0] if section == "datasets" else process[section]
        assert set(content) <= known, section
    assert process["model"]["arch"] in toolkit.archs


@pytest.mark.parametrize("name", presets.names())
def test_the_checks_before_a_start_find_nothing_in_a_preset(
    name: str, toolkit: ToolkitFacts, tmp_path: Path
) -> None:
    from lorapod.trainers.ai_toolkit.problems import Problems
    from lorapod.trainers.ai_toolkit.validate import validate_config
    from lorapod.trainers.ai_toolkit.vocabulary import vocabulary

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    config = build_config(name, TrainKnobs())
    config["config"]["name"] = "cat"
    process_of(config)["training_folder"] = "/out"
    process_of(config)["datasets"][0]["folder_path"] = str(tmp_path)
    if "pairs" in presets.get(name).learns:
        process_of(config)["datasets"][0]["control_path"] = str(tmp_path)
    problems = Problems()
    validate_config(config, vocabulary(toolkit.root, None), problems)
    problems.raise_any()
