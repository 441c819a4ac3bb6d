"""Links to the workspace's models in the folders of ComfyUI and SwarmUI.

```
<ComfyUI>/models/loras         -> <workspace>/models/loras        one link for each folder that is not in use
<SwarmUI>/Models/Lora/x        -> <workspace>/models/loras/x      else one for each model
models/diffusion_models/unet_gguf -> models/unet_gguf             where ComfyUI's GGUF nodes look
models/loras/trained           -> output/                         so that a LoRA just trained is there at once
models/loras/training_session_… -> training_session_…/output       those of sessions
models/loras/y                 -> comfyui/models/loras/y          models of an older layout of the volume
models/loras/z                 -> loras/z                         models at the volume's root
```

Run it as often as you like, by several workers at once, also as `python -m lorapod.models.links`.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Thread

from lorapod.models.find import TRAINED
from lorapod.models.kinds import FOLDERS, GGUF_FOLDERS, SWARMUI_NAMES, ModelKind, folder_of
from lorapod.models.symlinks import LinkReport, drop_dangling, entries, link, link_entries
from lorapod.sessions import PREFIX, session_outputs
from lorapod.settings import Settings
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Of ComfyUI's extensions, and of nodes of its own that no kind of model stands for.
EXTENSION_FOLDERS: Sequence[str] = (
    *(
        "animatediff_models",
        "animatediff_motion_lora",
        "facerestore_models",
        "inpaint",
        "insightface",
        "instantid",
    ),
    *("ipadapter", "latent_upscale_models", "LLM", "onnx", "pulid", "sam2", "sams", "ultralytics"),
)

COMFYUI_FOLDERS: Sequence[str] = (*(name for names in FOLDERS.values() for name in names), *EXTENSION_FOLDERS)

SWARMUI_FOLDERS: Sequence[str] = (
    *SWARMUI_NAMES,
    *("controlnet", "model_patches", "text_encoders", "clip", "clip_vision", "diffusion_models", "unet"),
    *("upscale_models", "style_models", "audio_encoders"),
)

#: Model folders at the volume's root whose models are shown too; other programs use names such as `diffusers`.
ROOT_FOLDERS: Sequence[str] = tuple(
    name for name in COMFYUI_FOLDERS if name not in {"diffusers", "inpaint", "LLM", "onnx"}
)

#: Model folders on volumes that were filled for other workers; relative to the workspace.
OLDER_LAYOUTS: Sequence[str] = ("comfyui/models", "ComfyUI/models", "Models", "SwarmUI/Models")


def link_models(workspace: Workspace, *, comfyui: Path | None, swarmui: Path | None) -> LinkReport:
    """Link what there is; no model is deleted, moved or written to.

    ComfyUI sees every folder of `models/`, whatever its name. A folder of ComfyUI or SwarmUI that is not in use becomes a link; one with models of its own stays, and the
    workspace's appear in it one by one. A name that two things have is reported, and both stay as they are.

    Args:
        workspace: whose `models/` are shown.
        comfyui: ComfyUI's root; None without ComfyUI.
        swarmui: SwarmUI's root; None without SwarmUI.

    Raises:
        OSError: a folder cannot be written.
    """
    report = LinkReport()
    apps = [
        (folder, names)
        for folder, names in (
            (comfyui / "models" if comfyui else None, COMFYUI_FOLDERS),
            (swarmui / "Models" if swarmui else None, SWARMUI_FOLDERS),
        )
        if folder is not None
    ]
    own = [folder for folder, _ in apps if folder.resolve().is_relative_to(workspace.root)]
    for older in dict.fromkeys([*(workspace.root / layout for layout in OLDER_LAYOUTS), *own]):
        _take_in(workspace, older, report)
    _take_in(workspace, workspace.root, report, ROOT_FOLDERS)
    for folder, names in apps:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            models = workspace.models / SWARMUI_NAMES.get(name, name)
            models.mkdir(exist_ok=True)
            if models.name == folder_of(ModelKind.LORA):
                _show_trained(models, workspace, report)
            _link_folder(folder / name, models, workspace.root, report)
    for name, shown in GGUF_FOLDERS.items():
        if any(entries(workspace.models / name)):
            link(workspace.models / shown / name, workspace.models / name, workspace.root, report)
    if comfyui is not None:
        for models in entries(workspace.models):
            if models.name not in COMFYUI_FOLDERS and models.is_dir():
                _link_folder(comfyui / "models" / models.name, models, workspace.root, report)
    return report


def _show_trained(models: Path, workspace: Workspace, report: LinkReport) -> None:
    """Link what was trained here among the LoRAs, and each session's output."""
    link(models / TRAINED, workspace.output, workspace.root, report)
    for output in session_outputs(workspace):
        link(models / output.parent.name, output, workspace.root, report)
    for place in entries(models):
        # A session that was deleted, wherever it lay.
        if place.is_symlink() and place.name.startswith(PREFIX) and not place.exists():
            place.unlink(missing_ok=True)
            report.removed.append(f"{place}: the session is gone")


def name_in_engines(path: Path, workspace: Workspace) -> str | None:
    """Return the name of a model file in ComfyUI and SwarmUI, suffix included; None if they do not see it."""
    if path.is_relative_to(workspace.output):
        return f"{TRAINED}/{path.relative_to(workspace.output).as_posix()}"
    for output in session_outputs(workspace):
        if path.is_relative_to(output):
            return f"{output.parent.name}/{path.relative_to(output).as_posix()}"
    if path.is_relative_to(workspace.models):
        folder, *parts = path.relative_to(workspace.models).parts
        return "/".join([folder, *parts] if folder in GGUF_FOLDERS else parts) or None
    return None


def installed(named: Path | None, usual: Iterable[Path]) -> Path | None:
    """Return a program's root: as set, else the first of its usual places that exists."""
    return named if named is not None else next((path for path in usual if path.is_dir()), None)


def link_from_settings(settings: Settings, workspace: Workspace) -> LinkReport:
    """Link the programs that `COMFYUI_PATH` and `SWARMUI_PATH` name, or that are at their usual places.

    Raises:
        OSError: a folder cannot be written.
    """
    return link_models(
        workspace,
        comfyui=installed(
            settings.comfyui_path, (Path("/comfyui"), Path("/app/ComfyUI"), workspace.root / "ComfyUI")
        ),
        swarmui=installed(settings.swarmui_path, (Path("/app/SwarmUI"), workspace.root / "SwarmUI")),
    )


def begin_linking(settings: Settings, workspace: Workspace) -> None:
    """Link in its own thread: a worker's first answer does not wait for a volume with many models."""
    Thread(target=link_and_log, args=(settings, workspace), name="link-models", daemon=True).start()


def link_and_log(settings: Settings, workspace: Workspace) -> None:
    """Link, and write the result to the worker's log; log a warning for what cannot be linked."""
    try:
        report = link_from_settings(settings, workspace)
    except OSError as error:
        logger.warning("cannot link the model folders", extra={"reason": error.strerror or str(error)})
        return
    if report.made or report.removed:
        logger.info("linked model folders", extra={"made": len(report.made), "removed": len(report.removed)})
    for conflict in report.conflicts:
        logger.warning("a model is hidden by another of its name", extra={"conflict": conflict})


def _take_in(
    workspace: Workspace, older: Path, report: LinkReport, names: Sequence[str] = COMFYUI_FOLDERS
) -> None:
    """Show the models of an older layout in the workspace's `models/`."""
    for folder in entries(older):
        name = SWARMUI_NAMES.get(folder.name, folder.name)
        if name not in names or folder.is_symlink() or not folder.is_dir():
            continue
        models = workspace.models / name
        if any(not _is_placeholder(entry) for entry in entries(folder)):
            models.mkdir(exist_ok=True)
        if models.is_dir():
            _show_own(models, folder, workspace, report)


def _show_own(models: Path, folder: Path, workspace: Workspace, report: LinkReport) -> None:
    for entry in entries(folder):
        inside = entry.resolve().is_relative_to(workspace.models) or entry.resolve() == workspace.output
        if not inside and not _is_placeholder(entry) and entry.exists():
            link(models / entry.name, entry, workspace.root, report)
    drop_dangling(models, folder, report)


def _link_folder(place: Path, models: Path, root: Path, report: LinkReport) -> None:
    """Make a program's folder a link to the workspace's, or fill it with links if it is in use."""
    if place.is_dir() and not place.is_symlink() and all(_is_placeholder(entry) for entry in place.iterdir()):
        _set_aside(place)
    if place.is_dir() and not place.samefile(models):
        link_entries(place, models, root, report)
    else:
        link(place, models, root, report)


def _set_aside(place: Path) -> None:
    """Take a folder away that holds nothing but what its program shipped, or nothing at all."""
    with contextlib.suppress(OSError):
        place.rmdir()
        return
    aside = place.with_name(f".{place.name}.shipped-{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        place.rename(aside)
        if not all(_is_placeholder(entry) for entry in aside.iterdir()) and not place.exists():
            # A model was put there at the same moment.
            aside.rename(place)


def _is_placeholder(entry: Path) -> bool:
    """ComfyUI's folders come with an empty file `put_loras_here`, so that they are in its repository."""
    name = entry.name
    shipped = (name.startswith("put_") and name.endswith("_here")) or name in {".gitkeep", ".gitignore"}
    return shipped and not entry.is_symlink() and entry.is_file() and not entry.stat().st_size


def main() -> int:
    """Link, and say what was done."""
    settings = Settings()
    report = link_from_settings(settings, Workspace.create(settings.workspace_root))
    for line in [*report.made, *(f"removed {text}" for text in report.removed)]:
        sys.stdout.write(f"{line}\n")
    for line in report.conflicts:
        sys.stderr.write(f"conflict: {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
