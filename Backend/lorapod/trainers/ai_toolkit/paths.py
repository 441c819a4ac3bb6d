"""Resolves every path in a config and checks where it leads.

AI Toolkit reads every path that a config names. A path must lead into the workspace; a path to a model may also lead
into the operator's model folders (`MODELS_PATH`, the HuggingFace cache) or into the installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from lorapod.cached_models import has_snapshot
from lorapod.errors import WorkerError
from lorapod.model_paths import HUB_ID, ModelPaths
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.prompt_flags import PromptFlag, with_flags
from lorapod.weights import SUFFIX, read_header
from lorapod.workspace import Workspace

#: Keys whose text is prose, even if it looks like a path.
PROSE_KEYS = frozenset(
    """
    prompt prompts neg negative_prompt unconditional_prompt default_caption trigger trigger_word name init_words
    diff_output_preservation_class replacements class_names trigger_class_name
    """.split()
)
#: Keys that name folders or files to read, mostly images.
READ_KEYS = frozenset(
    """
    folder_path dataset_path control_path control_path_1 control_path_2 control_path_3 mask_path inpaint_path
    unconditional_path clip_image_path ctrl_img ctrl_img_1 ctrl_img_2 ctrl_img_3 image_path image_dir
    """.split()
)
#: Keys that name weights: a local path, a HuggingFace id or, for some, a URL.
MODEL_KEYS = frozenset(
    """
    name_or_path vae_path unet_path lora_path assistant_lora_path inference_lora_path unconditional_lora_path
    refiner_name_or_path te_name_or_path extras_name_or_path accuracy_recovery_adapter pretrained_lora_path
    adapter_assist_name_or_path image_encoder_path text_encoder_path latent_feature_extractor_path
    diffusion_feature_extractor_path
    """.split()
)
#: The path of the control table on local disk, which the worker sets whatever the caller wrote.
CONTROL_KEY = "sqlite_db_path"

_MODEL_HOSTS = ("huggingface.co", "civitai.com")
#: A file in a repository; some models name it as `owner/name/path/to/file`.
_HUB_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(?:/[\w.-]{1,95}){1,8}")
#: The path of a repository's page, which is no file.
_HUB_PAGE = re.compile(r"/([^/]+/[^/]+?)(?:/tree/.*)?/?")
#: Keys whose text AI Toolkit splits into a prompt and flags.
_FLAGGED_KEYS = frozenset({"prompt", "prompts"})

_CONTROL_FLAG = "ctrl_img"

Place = tuple[Any, str | int]


@dataclass(frozen=True, kw_only=True)
class PathRules:
    """The places into which the paths of one worker's configs may lead."""

    workspace: Workspace
    #: Folders outside the workspace that hold models.
    model_folders: Sequence[Path]
    #: The folder of HuggingFace downloads.
    hub_cache: Path
    #: Whether downloads are forbidden.
    offline: bool
    #: A folder that does not exist yet but will before the launch.
    awaited: Path | None = None

    def settle(self, process: Mapping[str, Any], field: str, problems: Problems) -> None:
        """Replace every local path in one process of a config by its real, absolute path; add a problem for bad ones."""
        for inner, key, (container, place) in _texts(process, field, ""):
            text = container[place]
            if inner == f"{field}.{CONTROL_KEY}":
                continue
            if key in PROSE_KEYS:
                if key in _FLAGGED_KEYS:
                    container[place] = self._prompt(text, inner, problems)
            elif key in MODEL_KEYS or (".model." in inner and _looks_like_a_path(text)):
                container[place] = self._model(text, inner, problems)
            elif key in READ_KEYS and text:
                container[place] = self._existing(text, inner, problems)
            elif _looks_like_a_path(text):
                container[place] = self._inside(text, inner, problems)

    def _inside(self, text: str, field: str, problems: Problems) -> str:
        """Return the real path, or nothing, so that no later check looks at what lies outside."""
        try:
            return str(self.workspace.safe_path(text))
        except WorkerError as error:
            problems.refused(field, error)
            return ""

    def _existing(self, text: str, field: str, problems: Problems) -> str:
        path = self._inside(text, field, problems)
        if self.awaited is not None and Path(path).is_relative_to(self.awaited):
            return path
        if path and not Path(path).exists() and Path(path).is_relative_to(self.workspace.root):
            meant = self.workspace.meant(text)
            guess = f"; did you mean {meant!r}?" if meant else ""
            problems.add(field, f"{shown(text)!r} is not in the workspace{guess}")
        return path

    def _prompt(self, text: str, field: str, problems: Problems) -> str:
        """Return the prompt with the real paths of the control images that it names behind flags."""

        def changed(flag: PromptFlag) -> str:
            if not flag.name.startswith(_CONTROL_FLAG) or not flag.value:
                return flag.value
            path = self._existing(flag.value, field, problems)
            if "--" in path:
                problems.add(
                    field, f"{shown(path)!r} has -- in its path, where AI Toolkit ends it; rename it"
                )
            return path

        return with_flags(text, changed)

    def _model(self, text: str, field: str, problems: Problems) -> str:
        if not text.strip():
            return ""  # a missing model, not the workspace itself
        if "://" in text:
            self._url(text, field, problems)
            return text
        paths = ModelPaths(workspace=self.workspace, folders=self.model_folders)
        local = paths.find(text)
        if local is None and not text.startswith("/"):
            # Text that looks like a HuggingFace id may be a link in the workspace that leads outside.
            self._inside(text, field, problems)
        if local is not None:
            _check_weights(local, text, field, problems)
            return str(local)
        if _looks_like_a_path(text) or paths.names_own(text):
            problems.add(
                field,
                f"the model {shown(text)!r} is neither in the workspace nor in the worker's model folders",
            )
        elif HUB_ID.fullmatch(text) or _HUB_FILE.fullmatch(text):
            self._hub(text, field, problems)
        else:
            problems.add(field, f"{shown(text)!r} is neither a path in the workspace nor a HuggingFace id")
        return text

    def _url(self, text: str, field: str, problems: Problems) -> None:
        try:
            url = urlsplit(text)
            host = (url.hostname or "").lower()
        except ValueError:
            problems.add(field, f"{shown(text)!r} is not a URL")
            return
        known = any(host == name or host.endswith(f".{name}") for name in _MODEL_HOSTS)
        if url.scheme != "https" or not known:
            problems.add(
                field, f"a model can be fetched only from {' or '.join(_MODEL_HOSTS)}; download others first"
            )
        elif (page := _HUB_PAGE.fullmatch(url.path)) is not None and host == "huggingface.co":
            problems.add(field, f"is a web page; write the HuggingFace id, {shown(page[1])!r}")

    def _hub(self, text: str, field: str, problems: Problems) -> None:
        if self.offline and not has_snapshot(self.hub_cache, text):
            problems.add(
                field,
                f"the model {shown(text)!r} is not on this worker, and HF_HUB_OFFLINE forbids the download",
            )


def worker_rules(
    settings: Settings, workspace: Workspace, toolkit: Path, *, awaited: Path | None = None
) -> PathRules:
    """Return the rules for the paths of this worker's configs.

    Args:
        settings: the worker's settings.
        workspace: the worker's workspace.
        toolkit: AI Toolkit's root.
        awaited: see `PathRules`.
    """
    inherited = settings.trainer_environment()
    hub_cache = settings.hub_cache
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
        problems.add(field, f"the file {shown(text)!r} is truncated; download it again")


def _looks_like_a_path(text: str) -> bool:
    return text.startswith(("/", "~", "./")) or "\0" in text or ".." in PurePosixPath(text).parts


def _texts(value: Any, field: str, key: str) -> Iterator[tuple[str, str, Place]]:
    """Yield every text below `value` with its path, the nearest key, and the place where it can be replaced."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in list(places):
        path = f"{field}.{place}" if isinstance(place, str) else f"{field}[{place}]"
        nearest = place if isinstance(place, str) else key
        if isinstance(inner, str):
            yield path, nearest, (value, place)
        else:
            yield from _texts(inner, path, nearest)
