"""What gives ComfyUI the files that a workflow names, and refuses those that it may not read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from lorapod.engines.comfyui.client import ComfyClient
from lorapod.engines.comfyui.files import fitted
from lorapod.engines.comfyui.folders import ComfyFolders, job_folder
from lorapod.engines.comfyui.graph import Graph
from lorapod.engines.comfyui.named_files import InputSpec, NamedFile, Specs, named_files, with_names
from lorapod.engines.comfyui.workflow import INPUTS, mask_is_alpha
from lorapod.engines.port import Generation
from lorapod.workspace import Workspace

#: Fields whose files are images in the size that is asked for.
_FITTED = frozenset({"image", "mask"})


class InputFiles:
    """The files of the workflows of one engine."""

    def __init__(self, workspace: Workspace) -> None:
        """Read nothing yet."""
        self._workspace = workspace
        #: By class. What a class takes does not change while ComfyUI runs.
        self._specs: dict[str, Mapping[str, InputSpec]] = {}

    def check(self, graph: Graph, template: Graph, generation: Generation) -> list[str]:
        """Check a filled workflow, as far as that is possible without the server.

        Returns:
            A warning for each file of the request that the workflow does not name.

        Raises:
            UnsafePath: an input names a file outside the workspace.
        """
        used = {file.source for file in self._named(graph, template, generation, {})}
        return [
            f"No node of the workflow names the input file {name!r}: it was not used."
            for name, path in generation.named_inputs.items()
            if path not in used
        ]

    async def upload(
        self,
        client: ComfyClient,
        graph: Graph,
        template: Graph,
        generation: Generation,
        *,
        folders: ComfyFolders | None,
        uploaded: dict[Path, str],
    ) -> Graph:
        """Upload the files that a filled workflow names; return the workflow with the names of the uploads.

        Args:
            client: the server's.
            graph: the workflow.
            template: the same before it was filled.
            generation: what is asked for.
            folders: ComfyUI's; None if they cannot be reached.
            uploaded: the names of the uploads so far; this adds to it.

        Raises:
            UnsafePath: as `check`, or an input takes its path from another node.
            WorkerError: a file cannot be uploaded.
        """
        if generation.workflow is not None:
            for class_type in {node["class_type"] for node in graph.values()} - self._specs.keys():
                if known := await client.inputs_of(class_type):
                    self._specs[class_type] = known
        names = {}
        folder = job_folder(generation.process_id)
        for file in self._named(graph, template, generation, self._specs):
            name = f"{folder}/{file.value.strip()}"
            if file.source is not None:
                if file.source not in uploaded:
                    place = f"{folder}/{len(uploaded) + 1}"
                    uploaded[file.source] = await client.upload(file.source, subfolder=place)
                name = uploaded[file.source]
            names[file.node_id, file.input, file.value] = self._for_input(name, file, graph, folders)
        return with_names(graph, names)

    def _named(self, graph: Graph, template: Graph, generation: Generation, specs: Specs) -> list[NamedFile]:
        return named_files(
            graph,
            self._workspace,
            own_folder=job_folder(generation.process_id),
            trusted=template if generation.workflow is None else {},
            specs=specs,
            brought=generation.named_inputs,
        )

    def _for_input(self, name: str, file: NamedFile, graph: Graph, folders: ComfyFolders | None) -> str:
        """Return the name of an upload as the input takes it: a text is a path from anywhere, not from ComfyUI's inputs."""
        spec = self._specs.get(graph[file.node_id]["class_type"], {}).get(file.input)
        if spec is not None and spec.type == "STRING" and folders is not None:
            return str(folders.input / name)
        return name


async def upload_fields(client: ComfyClient, generation: Generation, template: Graph) -> dict[str, str]:
    """Upload the files of the request's own fields; return their names in ComfyUI by field.

    An image is made in the size that is asked for, and a mask is cut as its image is.

    Args:
        client: the server's.
        generation: what is asked for.
        template: its workflow, not filled yet.

    Raises:
        InvalidInput: an image cannot be decoded.
        WorkerError: a file cannot be uploaded.
    """
    uploaded = {}
    in_alpha = mask_is_alpha(generation, template)
    for name in INPUTS:
        path: Path | None = getattr(generation, name)
        if path is None or (name == "mask" and in_alpha):
            continue
        if name in _FITTED:
            target = generation.scratch / f"{name}.png"
            mask = generation.mask if in_alpha else None
            size = {"width": generation.width, "height": generation.height}
            await asyncio.to_thread(fitted, path, target, mask=mask, **size)
            path = target
        uploaded[name] = await client.upload(path, subfolder=f"{job_folder(generation.process_id)}/{name}")
    return uploaded
