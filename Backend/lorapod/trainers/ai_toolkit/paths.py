"""Every path in a config: where it really leads, and whether it may.

AI Toolkit reads whatever path a config names. A path must end in the workspace; one to a model may also end in the
operator's own model folders (`MODELS_PATH`, the HuggingFace cache) or in the installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from lorapod.errors import WorkerError
from lorapod.model_paths import HUB_ID, ModelPaths, cached_repository
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.weights import SUFFIX, read_header
from lorapod.workspace import Workspace

#: Keys whose text is prose, whatever it looks like.
PROSE_KEYS = frozenset(
    """
    prompt prompts neg negative_prompt unconditional_prompt default_caption trigger trigger_word name init_words
    diff_output_preservation_class replacements class_names trigger_class_name
    """.split()
)
#: Keys that name folders or files to read, pictures mostly.
READ_KEYS = frozenset(
    """
    folder_path dataset_path control_path control_path_1 control_path_2 control_path_3 mask_path inpaint_path
    unconditional_path clip_image_path ctrl_img ctrl_img_1 ctrl_img_2 ctrl_img_3 image_path image_dir
    """.split()
)
#: Keys that name weights: a local path, a HuggingFace id or, for some, an address.
MODEL_KEYS = frozenset(
    """
    name_or_path vae_path unet_path lora_path assistant_lora_path inference_lora_path unconditional_lora_path
    refiner_name_or_path te_name_or_path extras_name_or_path accuracy_recovery_adapter pretrained_lora_path
    adapter_assist_name_or_path image_encoder_path text_encoder_path latent_feature_extractor_path
    diffusion_feature_extractor_path
    """.split()
)
#: Where the worker has put its own control table, on local disk whatever the caller wrote there.
CONTROL_KEY = "sqlite_db_path"

_MODEL_HOSTS = ("huggingface.co", "civitai.com")
#: A file in a repository, which some models name as `owner/name/path/to/file`.
_HUB_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(?:/[\w.-]{1,95}){1,8}")
_PROMPT_PATH = re.compile(r"--ctrl_img(?:_[123])?[ \t]+(?P<path>\S+)")

Place = tuple[Any, str | int]


@dataclass(frozen=True, kw_only=True)
class PathRules:
    """Where the paths of one worker's configs may lead."""

    workspace: Workspace
    #: Folders outside the workspace that hold models.
    model_folders: Sequence[Path]
    #: Where a HuggingFace download would lie.
    hub_cache: Path
    #: Whether nothing may be downloaded.
    offline: bool
    #: A folder that will be there before the launch.
    awaited: Path | None = None

    def settle(self, process: Mapping[str, Any], field: str, problems: Problems) -> None:
        """Make every local path in one process of a config absolute and real, in place; note those that may not be."""
        for inner, key, (container, place) in _texts(process, field, ""):
            text = container[place]
            if inner == f"{field}.{CONTROL_KEY}":
                continue
            if key in PROSE_KEYS:
                self._prompt(text, inner, problems)
            elif key in MODEL_KEYS or (".model." in inner and _looks_like_a_path(text)):
                container[place] = self._model(text, inner, problems)
            elif key in READ_KEYS and text:
                container[place] = self._existing(text, inner, problems)
            elif _looks_like_a_path(text):
                container[place] = self._inside(text, inner, problems)

    def _inside(self, text: str, field: str, problems: Problems) -> str:
        try:
            return str(self.workspace.safe_path(text))
        except WorkerError as error:
            problems.refused(field, error)
            return text

    def _existing(self, text: str, field: str, problems: Problems) -> str:
        path = self._inside(text, field, problems)
        if Path(path) == self.awaited:
            return path
        if path and not Path(path).exists() and Path(path).is_relative_to(self.workspace.root):
            problems.add(field, f"there is no {shown(text)!r} in the workspace")
        return path

    def _prompt(self, text: str, field: str, problems: Problems) -> None:
        """A prompt may name control pictures behind flags; those must be right as they stand."""
        for flag in _PROMPT_PATH.finditer(text):
            path = self._existing(flag["path"], field, problems)
            if path != flag["path"]:
                problems.add(field, f"write the control picture as {shown(path)!r}")

    def _model(self, text: str, field: str, problems: Problems) -> str:
        if "://" in text:
            self._address(text, field, problems)
            return text
        paths = ModelPaths(workspace=self.workspace, folders=self.model_folders)
        local = paths.find(text)
        if local is None and not text.startswith("/"):
            # Also for what reads like a HuggingFace id: a link of the workspace that leads outside.
            self._inside(text, field, problems)
        if local is not None:
            _check_weights(local, text, field, problems)
            return str(local)
        if _looks_like_a_path(text) or paths.names_own(text):
            problems.add(
                field, f"there is no model at {shown(text)!r}, in the workspace or the worker's model folders"
            )
        elif HUB_ID.fullmatch(text) or _HUB_FILE.fullmatch(text):
            self._hub(text, field, problems)
        else:
            problems.add(field, f"{shown(text)!r} is neither a path in the workspace nor a HuggingFace id")
        return text

    def _address(self, text: str, field: str, problems: Problems) -> None:
        try:
            address = urlsplit(text)
            host = (address.hostname or "").lower()
        except ValueError:
            problems.add(field, f"{shown(text)!r} is not an address")
            return
        known = any(host == name or host.endswith(f".{name}") for name in _MODEL_HOSTS)
        if address.scheme != "https" or not known:
            problems.add(
                field, f"a model can be fetched from {' or '.join(_MODEL_HOSTS)} only; download others first"
            )

    def _hub(self, text: str, field: str, problems: Problems) -> None:
        if self.offline and not cached_repository(self.hub_cache, text).is_dir():
            problems.add(
                field,
                f"the model {shown(text)!r} is not on this worker, which may not download (HF_HUB_OFFLINE)",
            )


def worker_rules(
    settings: Settings, workspace: Workspace, toolkit: Path, *, awaited: Path | None = None
) -> PathRules:
    """Where the paths of this worker's configs may lead.

    Args:
        settings: the worker's.
        workspace: its workspace.
        toolkit: AI Toolkit's root.
        awaited: see `PathRules`.
    """
    inherited = settings.trainer_environment()
    home = Path(inherited.get("HOME") or "~").expanduser()
    hub_home = Path(inherited.get("HF_HOME") or home / ".cache" / "huggingface")
    hub_cache = Path(inherited.get("HF_HUB_CACHE") or hub_home / "hub")
    models = Path(inherited.get("MODELS_PATH") or toolkit / "models")
    return PathRules(
        workspace=workspace,
        model_folders=(models, hub_cache, toolkit),
        hub_cache=hub_cache,
        offline=settings.hf_hub_offline,
        awaited=awaited,
    )


def _check_weights(path: Path, text: str, field: str, problems: Problems) -> None:
    if path.suffix != SUFFIX or not path.is_file():
        return
    try:
        whole = read_header(path).whole
    except WorkerError as error:
        problems.refused(field, error)
        return
    if not whole:
        problems.add(field, f"the file {shown(text)!r} is cut off; download it again")


def _looks_like_a_path(text: str) -> bool:
    return text.startswith(("/", "~", "./")) or "\0" in text or ".." in PurePosixPath(text).parts


def _texts(value: Any, field: str, key: str) -> Iterator[tuple[str, str, Place]]:
    """Every text below `value`: its path, the nearest key, and where it can be replaced."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in list(places):
        path = f"{field}.{place}" if isinstance(place, str) else f"{field}[{place}]"
        nearest = place if isinstance(place, str) else key
        if isinstance(inner, str):
            yield path, nearest, (value, place)
        else:
            yield from _texts(inner, path, nearest)
