"""`lora`: the LoRAs of the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from lorapod import weights
from lorapod.actions.action import Action, TimeLimit
from lorapod.errors import WorkerError
from lorapod.files.listing import list_files
from lorapod.processes.manager import RealProcessManager
from lorapod.sessions import session_outputs
from lorapod.thread_pools import READS
from lorapod.volume.file_page import ListedFile
from lorapod.wire.model import Moment, ProcessId, RelativePath, Request, Result, WireModel
from lorapod.workspace import Workspace


class LoraRequest(Request):
    """Whose LoRAs."""

    process_id: ProcessId | None = Field(
        default=None, description="Only the LoRAs that this process wrote; if left out, all."
    )


class LoraView(WireModel):
    """One LoRA, as its header describes it."""

    path: RelativePath = Field(description="Relative to the workspace.")
    name: str = Field(description="File name.")
    size_bytes: int = Field(description="Size in bytes.")
    modified_at: Moment = Field(description="When its content last changed.")
    process_id: str | None = Field(default=None, description="The process that wrote it.")
    step: int | None = Field(default=None, description="Steps it was trained for.")
    rank: int | None = Field(default=None, description="Rank of the LoRA, if its tensors show it.")
    trigger_word: str | None = Field(
        default=None, description="Word that triggers it, if its metadata has it."
    )
    base_model: str | None = Field(
        default=None, description="Model that it was trained on, if its metadata has it."
    )


class LoraResult(Result):
    """LoRAs by path; files that are cut off or unreadable are left out."""

    models: list[LoraView] = Field(description="LoRA weights, newest first.")


async def lora(request: LoraRequest, *, processes: RealProcessManager, workspace: Workspace) -> LoraResult:
    """Read the headers in a thread."""
    return await READS.run(_loras, request, processes, workspace)


def _loras(request: LoraRequest, processes: RealProcessManager, workspace: Workspace) -> LoraResult:
    if request.process_id is None:
        folders = [workspace.models, workspace.output, *session_outputs(workspace)]
    else:
        folders = [processes.get(request.process_id).output_folder(workspace)]
    found = (file for folder in folders if folder.is_dir() for file in _weights(workspace, folder))
    views = (_view(workspace, file, request.process_id) for file in found)
    return LoraResult(models=[view for view in views if view is not None])


def _weights(workspace: Workspace, folder: Path) -> Iterator[ListedFile]:
    cursor = None
    while True:
        page = list_files(workspace, folder, pattern=f"*{weights.SUFFIX}", cursor=cursor)
        yield from page.files
        if (cursor := page.next_cursor) is None:
            return


def _view(workspace: Workspace, file: ListedFile, process_id: str | None) -> LoraView | None:
    try:
        header = weights.read_header(file.path)
    except WorkerError:
        return None
    if not header.is_lora or not header.whole:
        return None
    if file.path.is_relative_to(workspace.output):
        process_id = file.path.relative_to(workspace.output).parts[0]
    return LoraView(
        path=workspace.relative(file.path),
        name=file.path.stem,
        size_bytes=file.size_bytes,
        modified_at=datetime.fromtimestamp(file.modified_s, UTC),
        process_id=process_id,
        step=weights.step_of(header),
        rank=header.rank,
        trigger_word=header.trigger_word,
        base_model=header.base_model,
    )


ACTION = Action(
    type="lora",
    summary="The LoRAs of the workspace, as their headers describe them.",
    request=LoraRequest,
    result=LoraResult,
    run=lora,
    time_limit=TimeLimit.READ,
)
