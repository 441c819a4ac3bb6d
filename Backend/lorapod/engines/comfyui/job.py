"""One generation on a running ComfyUI: upload its inputs, run its prompts, fetch its results, clean up."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorapod.engines.comfyui.client import ComfyClient, OutputGone, connected
from lorapod.engines.comfyui.editor import editor_form, sent_editor_form
from lorapod.engines.comfyui.failures import check_end
from lorapod.engines.comfyui.files import collect
from lorapod.engines.comfyui.folders import ComfyFolders, argv_of, forget_cached, job_folder
from lorapod.engines.comfyui.graph import Graph
from lorapod.engines.comfyui.input_files import InputFiles, upload_fields
from lorapod.engines.comfyui.loras import NamedLora, listed_name
from lorapod.engines.comfyui.outputs import (
    OutputFile,
    PromptOutputs,
    cached_nodes,
    outputs_in,
    saved_elsewhere,
)
from lorapod.engines.comfyui.problems import workflow_error
from lorapod.engines.comfyui.progress import PromptProgress
from lorapod.engines.comfyui.stopping import PromptCancelled, unless_stopped
from lorapod.engines.comfyui.watch import EndedPrompt, PromptLimits, PromptWatch
from lorapod.engines.comfyui.workflow import Composed, Parts, compose
from lorapod.engines.port import (
    GeneratedFile,
    Generation,
    GenerationProgress,
    GenerationResult,
    GenerationRun,
)
from lorapod.errors import InvalidInput, Unsupported, WorkerError, WorkerTimeout

#: How long the clean-up on the server may take.
_CLEAN_UP_S = 1.0
#: Folders in which the model of a request is looked for.
_MODEL_FOLDERS = ("checkpoints", "diffusion_models")


class ComfyJob:
    """One generation; a second run, after the server died, continues with the first missing image."""

    def __init__(
        self,
        generation: Generation,
        template: Graph,
        run: GenerationRun,
        *,
        root: Path | None,
        limits: PromptLimits,
        check_server: Callable[[], bool],
        inputs: InputFiles,
    ) -> None:
        """Begin with nothing made.

        Args:
            generation: what is asked for.
            template: its workflow, not filled yet.
            run: receives progress and log lines.
            root: the ComfyUI installation on this machine; None: its folders cannot be reached.
            limits: how long it may take.
            check_server: see `PromptWatch`.
            inputs: what gives ComfyUI the files that the workflow names.
        """
        self._generation = generation
        self._template = template
        self._run = run
        self._root = root
        self._limits = limits
        self._check_server = check_server
        self._inputs = inputs
        #: ComfyUI's folders, if they can be reached.
        self._folders: ComfyFolders | None = None
        #: Names of the files that were uploaded because the workflow names them.
        self._uploaded: dict[Path, str] = {}
        self._made: list[GeneratedFile] = []
        self._warnings: dict[str, None] = {}
        self._collect_s = 0.0
        self._next = 0
        self._prompt_ids: list[str] = []
        #: What its prompts list, and what they saved outside the job's own folder.
        self._listed: list[OutputFile] = []
        self._saved: list[OutputFile] = []

    def make(self, url: str, stats: Mapping[str, Any]) -> GenerationResult:
        """Generate; blocks.

        Args:
            url: the server's.
            stats: its `system_stats`.

        Raises:
            PromptCancelled, PromptStuck, PromptLost, WorkerTimeout, ServerAway: as `PromptWatch.run`.
            PromptInterrupted: it was interrupted in ComfyUI itself.
            WorkerError: it failed.
            OSError: the disk failed.
        """
        began_s = time.monotonic()
        asyncio.run(self._make(url, stats))
        return GenerationResult(
            files=self._made,
            seed_known=all(file.seed is not None for file in self._made),
            warnings=list(self._warnings),
            timings={
                "generate_s": round(time.monotonic() - began_s - self._collect_s, 3),
                "collect_s": round(self._collect_s, 3),
            },
        )

    async def _make(self, url: str, stats: Mapping[str, Any]) -> None:
        folders = None if self._root is None else ComfyFolders.of(self._root, argv_of(stats))
        self._folders, self._uploaded = folders, {}
        async with connected(url) as client:
            try:
                parts = await self._parts(client, folders)
                while self._next < self._generation.num_images:
                    await self._make_image(client, parts, self._next)
                    self._next += 1
            finally:
                await self._clean_up(client, folders)

    async def _parts(self, client: ComfyClient, folders: ComfyFolders | None) -> dict[str, Any]:
        """Upload the input files, and return them, the LoRAs and the model by ComfyUI's names."""
        return {
            "folder": job_folder(self._generation.process_id),
            "loras": await self._loras(client, folders),
            "model": await self._model(client),
            "inputs": await upload_fields(client, self._generation, self._template),
        }

    async def _loras(self, client: ComfyClient, folders: ComfyFolders | None) -> Sequence[NamedLora]:
        loras = self._generation.loras
        if not loras:
            return []
        if folders is not None:
            job = self._generation.process_id
            return [NamedLora(name=folders.lend(lora, job), weight=lora.weight) for lora in loras]
        listed = await client.listed("loras")
        named = []
        for lora in loras:
            if (name := listed_name(lora.path.name, listed)) is None:
                raise Unsupported(
                    f"ComfyUI has no LoRA named {lora.path.name}, and its folders cannot be reached from here.",
                    hint="Put it into ComfyUI's models/loras, or set COMFYUI_PATH.",
                )
            named.append(NamedLora(name=name, weight=lora.weight))
        return named

    async def _model(self, client: ComfyClient) -> str | None:
        """Return the model as ComfyUI lists it; None if it lists none like it: then the name is sent unchanged, and refused."""
        wanted = self._generation.model
        for folder in _MODEL_FOLDERS:
            if wanted is not None and (name := listed_name(wanted, await client.listed(folder))) is not None:
                return name
        return None

    async def _make_image(self, client: ComfyClient, parts: Mapping[str, Any], index: int) -> None:
        composed = compose(self._generation, self._template, Parts(**parts, index=index))
        self._warn(composed.warnings)
        composed = await self._with_files(client, composed)
        try:
            await self._prompt(client, composed, index)
        except OutputGone:
            # ComfyUI took a result from its cache whose file is not there any more.
            self._run.log("ComfyUI names results that are gone; it makes them again")
            forget_cached(composed.graph, secrets.token_hex(8))
            await self._prompt(client, composed, index)

    async def _with_files(self, client: ComfyClient, composed: Composed) -> Composed:
        """Give ComfyUI the files that the workflow names.

        Raises:
            PromptCancelled: the generation was stopped.
            WorkerTimeout: ComfyUI did not answer before the deadline.
            UnsafePath: the workflow names a file outside the workspace.
            WorkerError: a file cannot be uploaded.
        """
        graph = await unless_stopped(
            self._inputs.upload(
                client,
                composed.graph,
                self._template,
                self._generation,
                folders=self._folders,
                uploaded=self._uploaded,
            ),
            self._run.stopped,
            deadline_s=self._limits.deadline_s,
        )
        return replace(composed, graph=graph)

    async def _prompt(self, client: ComfyClient, composed: Composed, index: int) -> None:
        total = self._generation.num_images
        prompt_id = str(uuid.uuid4())
        self._prompt_ids.append(prompt_id)
        watch = PromptWatch(
            client,
            prompt_id=prompt_id,
            process_id=self._generation.process_id,
            limits=self._limits,
            progress=PromptProgress(composed.graph, image=index + 1, total_images=total),
            report=self._run.report,
            stopped=self._run.stopped,
            check_server=self._check_server,
        )
        self._run.report(
            GenerationProgress(image=index + 1, total_images=total, detail="waiting for ComfyUI")
        )
        editor = sent_editor_form(self._generation.workflow) or editor_form(composed.graph)
        try:
            ended = await watch.run(composed.graph, editor, self._generation.comfy_org_api_key)
        except (PromptCancelled, WorkerTimeout):
            with suppress(WorkerError, TimeoutError):
                async with asyncio.timeout(_CLEAN_UP_S):
                    self._note_files(composed.graph, await client.history(prompt_id) or {})
            raise
        outputs = outputs_in(ended.entry)
        self._note_files(composed.graph, ended.entry)
        check_end(ended.entry)
        self._judge(ended, outputs)
        began_s = time.monotonic()
        try:
            paths = await collect(
                client,
                outputs.wanted,
                outputs.texts,
                self._generation.folder,
                patience_s=self._patience_s(ended),
            )
        finally:
            # Afterwards, over the same connection: another one would cost more than the wait.
            await self._forget(client, prompt_id)
            self._collect_s += time.monotonic() - began_s
        lists = [*(file.listed_as for file in outputs.wanted), *("text" for _ in outputs.texts)]
        self._made += [
            GeneratedFile(path=path, seed=composed.seed, listed_as=name)
            for path, name in zip(paths, lists, strict=True)
        ]

    def _note_files(self, graph: Graph, entry: Mapping[str, Any]) -> None:
        self._listed += outputs_in(entry).files
        self._saved += saved_elsewhere(entry, graph)

    def _judge(self, ended: EndedPrompt, outputs: PromptOutputs) -> None:
        """Turn the outputs that ComfyUI left out into warnings, as long as it saved anything.

        Raises:
            InvalidInput: nothing is left, or nothing but previews.
        """
        problems = list(ended.accepted.problems)
        if problems and not outputs.kept:
            raise workflow_error(problems)
        self._warn(
            f"ComfyUI left out the outputs of node {', '.join(problem['outputs'])}: {problem['error']}."
            for problem in problems
        )
        if not outputs.wanted and not outputs.texts:
            raise InvalidInput(
                "The workflow ended, but made no file.",
                hint="It needs a node that saves into ComfyUI's folder, such as SaveImage or SaveVideo.",
            )

    def _patience_s(self, ended: EndedPrompt) -> float:
        """Return how long a file may still be on its way: 0 if every result came from the cache."""
        limits = self._limits
        fresh = set(ended.entry.get("outputs") or ()) - cached_nodes(ended.entry)
        return limits.history_attempts * limits.history_delay_s if fresh else 0.0

    def _warn(self, sentences: Any) -> None:
        self._warnings |= dict.fromkeys(sentences)

    async def _clean_up(self, client: ComfyClient, folders: ComfyFolders | None) -> None:
        """Remove what the job left in ComfyUI; ignore what cannot be removed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLEAN_UP_S):
                for prompt_id in list(self._prompt_ids):
                    await self._forget(client, prompt_id)
        if folders is not None:
            # No other thread is needed: this loop serves this job alone, and the job is over.
            folders.remove_job(self._generation.process_id, self._listed, self._saved)

    async def _forget(self, client: ComfyClient, prompt_id: str) -> None:
        with suppress(WorkerError):
            await client.forget(prompt_id)
            self._prompt_ids.remove(prompt_id)
