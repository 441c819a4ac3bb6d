"""Makes the child's config of a request: sets names and folders, resolves paths and checks everything."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import LeftOutCode
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.datasets.sections import sections_of
from lorapod.errors import InvalidInput, WorkerError
from lorapod.model_paths import HUB_ID, ModelPaths
from lorapod.trainers.builtin.config import BuiltinConfig
from lorapod.trainers.builtin.parsing import parse_config
from lorapod.trainers.builtin.prompts import problems as flag_problems
from lorapod.trainers.builtin.prompts import unread_flags
from lorapod.trainers.held_out import hold_out
from lorapod.trainers.port import TrainingRequest
from lorapod.trainers.start_weights import begin_with
from lorapod.wire.validation import problems_found
from lorapod.workspace import Workspace, safe_name
from lorapod.yaml_config.text import parse_config as parse_text

_PROCESS = "config.process[0]"


@dataclass(frozen=True, kw_only=True)
class PreparedConfig:
    """A config that is ready to be written to a file."""

    fields: Mapping[str, Any]
    config: BuiltinConfig
    #: One sentence for each thing that the caller should know but need not change.
    warnings: Sequence[str] = ()


@dataclass(kw_only=True)
class ConfigPreparation:
    """The preparation of one config."""

    #: The file of the control table in the process's scratch folder.
    CONTROL_FILE: ClassVar[str] = "control.db"

    request: TrainingRequest
    #: Folders outside the workspace that may hold models.
    model_folders: Sequence[Path]
    _problems: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> PreparedConfig:
        """Build and check the config.

        Raises:
            InvalidInput: `details` has every problem that was found.
        """
        fields = copy.deepcopy(parse_text(self.request.config))
        process = _only_process(fields)
        if process is None:
            parse_config(fields)
            raise InvalidInput("config.process must be a list with exactly one mapping.")
        self._set_names(fields["config"], process)
        if self.request.steps is not None:
            process["train"] = {**(process.get("train") or {}), "steps": self.request.steps}
        self._set_data(process)
        self._settle_model(process)
        try:
            config = parse_config(fields)
        except InvalidInput as error:
            raise problems_found([*error.details, *self._problems]) from None
        if config.process.network.pretrained_lora_path is not None:
            self._problem(
                f"{_PROCESS}.network.pretrained_lora_path", "is set by the worker; send `start_from`"
            )
        prompts, place = config.process.sample.prompts, f"{_PROCESS}.sample.prompts"
        for field_, sentence in flag_problems(prompts, config.process.sample, place):
            self._problem(field_, sentence)
        if self._problems:
            raise problems_found(self._problems)
        warnings = list(unread_flags(prompts, place))
        if self.request.held_out is not None and self.request.dataset_ready:
            warnings = [*warnings, hold_out(process, self.request.held_out, config.process.trigger_word)]
            config = parse_config(fields)
        if self.request.start is not None:
            fields["config"]["process"][0].setdefault("network", {})
            begin_with(fields, self.request.start)
            config = parse_config(fields)
        return PreparedConfig(fields=fields, config=config, warnings=tuple(warnings))

    def _set_names(self, job: dict[str, Any], process: dict[str, Any]) -> None:
        request = self.request
        job.setdefault("name", request.name or request.process_id)
        if isinstance(job["name"], str):
            try:
                safe_name(job["name"], field="config.name")
            except WorkerError as error:
                self._refuse("config.name", error)
        process["training_folder"] = str(request.training_folder)
        process["sqlite_db_path"] = str(request.scratch / self.CONTROL_FILE)
        logging = process.get("logging")
        if logging is None or isinstance(logging, dict):
            process["logging"] = {**(logging or {}), "use_ui_logger": True}

    def _set_data(self, process: dict[str, Any]) -> None:
        """Set the request's folder in the first dataset and in all with the same folder or none; check the others."""
        if self.request.dataset is not None and process.get("datasets") is None:
            process["datasets"] = [{}]
        datasets = process.get("datasets")
        if not isinstance(datasets, list) or not all(isinstance(dataset, dict) for dataset in datasets):
            return
        if self.request.dataset is not None and datasets:
            stand_in = datasets[0].get("folder_path")
            datasets = [
                placed
                for dataset in datasets
                for placed in (
                    sections_of(dataset, self.request.dataset, learns_pairs=False)
                    if dataset.get("folder_path") in {stand_in, None}
                    else [dataset]
                )
            ]
            process["datasets"] = datasets
        for place, dataset in enumerate(datasets):
            if isinstance(dataset.get("folder_path"), str):
                self._settle_folder(dataset, f"{_PROCESS}.datasets[{place}].folder_path")

    def _settle_folder(self, dataset: dict[str, Any], place: str) -> None:
        text = dataset["folder_path"]
        try:
            folder = Workspace(root=self.request.workspace).safe_path(text)
        except WorkerError as error:
            self._refuse(place, error)
            return
        dataset["folder_path"] = str(folder)
        if folder == self.request.dataset and not self.request.dataset_ready:
            return
        if not folder.is_dir():
            meant = Workspace(root=self.request.workspace).meant(text)
            guess = f"; did you mean {meant!r}?" if meant else ""
            self._problem(place, f"the folder {_shown(text)!r} is not in the workspace{guess}")
            return
        reading = DatasetReader(names_only=True).read(DatasetEntry(folder=folder, num_frames=1))
        if not reading.images:
            clips = any(file.code is LeftOutCode.CLIP for file in reading.left_out)
            why = "only videos, which the builtin trainer does not learn from" if clips else "no images"
            name = Workspace(root=self.request.workspace).relative(folder)
            self._problem(place, f"the folder {_shown(name)!r} has {why}")

    def _settle_model(self, process: dict[str, Any]) -> None:
        model = process.get("model")
        text = model.get("name_or_path") if isinstance(model, dict) else None
        if not isinstance(model, dict) or not isinstance(text, str) or not text:
            return
        place = f"{_PROCESS}.model.name_or_path"
        paths = ModelPaths(workspace=Workspace(root=self.request.workspace), folders=self.model_folders)
        local = paths.find(text)
        if local is not None:
            model["name_or_path"] = str(local)
        elif text.startswith(("/", "~", ".")) or "\0" in text or paths.names_own(text):
            self._problem(place, f"the model {_shown(text)!r} is not in the workspace")
        elif not HUB_ID.fullmatch(text):
            self._problem(place, f"{_shown(text)!r} is neither a path in the workspace nor a HuggingFace id")

    def _refuse(self, place: str, error: WorkerError) -> None:
        self._problem(place, error.message.removeprefix(f"{place}: ").rstrip("."))

    def _problem(self, place: str, sentence: str) -> None:
        self._problems.append({"field": place, "error": sentence})


def _only_process(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    match fields:
        case {"config": {"process": [dict() as process]}}:
            return process
    return None


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
