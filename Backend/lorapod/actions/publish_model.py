"""`publish_model`: put a model of the workspace into a repository on the HuggingFace Hub, with a card and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from lorapod import weights
from lorapod.actions.action import Action
from lorapod.errors import Conflict, InvalidInput, WorkerError
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.find import FoundModel
from lorapod.models.kinds import ModelKind
from lorapod.processes.manager import RealProcessManager
from lorapod.storage.mirror.card import SHOWN, put_card
from lorapod.storage.model_card import CardSample, TrainedModel, lora_card
from lorapod.storage.stores import ObjectStores
from lorapod.thread_pools import ThreadPool
from lorapod.volume.artifacts import samples
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.shown_config import read_shown_config
from lorapod.wire.catalog import ModelCardView
from lorapod.wire.model import Request, Result
from lorapod.wire.storage import HuggingFaceRepo
from lorapod.workspace import Workspace

#: An upload takes minutes: it takes no thread from what only reads.
_UPLOADS = ThreadPool("publish", size=2)

FileName = Annotated[str, StringConstraints(pattern=r"^[\w][\w. -]{0,120}$")]


class PublishModelRequest(Request):
    """Which model, and where it goes."""

    model: str = Field(
        min_length=1, max_length=4096, description="Its path or its name as `list_models` shows them."
    )
    kind: ModelKind | None = Field(default=None, description="Its kind, if two models have the name.")
    huggingface: HuggingFaceRepo = Field(
        description="The repository, which is made if it does not exist; the worker's `HF_TOKEN` must be allowed to write there."
    )
    name: FileName | None = Field(
        default=None, description="Name of the file in the repository; default: the file's own."
    )
    samples: bool = Field(
        default=True, description="Send the newest samples of its training too; the card shows them."
    )
    dry_run: bool = Field(default=False, description="Only say what would be sent; the Hub is not asked.")


class PublishModelResult(Result):
    """What is in the repository now; with `dry_run`, what would be."""

    repo_id: str = Field(description="The repository.")
    url: str = Field(description="Its page.")
    file: str = Field(description="The model's name in the repository.")
    size_bytes: int = Field(description="Its size.")
    samples: list[str] = Field(default=[], description="The images that were sent, by their names there.")
    card: bool = Field(
        description="Whether the card was written; one that a person has edited is left alone."
    )
    dry_run: bool = Field(default=False, description="Whether nothing was sent.")


@dataclass(frozen=True, kw_only=True)
class ModelPublisher:
    """Sends models to the Hub."""

    models: WorkspaceModels
    processes: RealProcessManager
    workspace: Workspace
    stores: ObjectStores
    #: On local disk.
    scratch: Path
    endpoint: str

    def publish(self, request: PublishModelRequest) -> PublishModelResult:
        """Send the model, its samples and its card; blocks. What is there already is sent again, which changes nothing.

        Raises:
            NotFound: there is no such model.
            InvalidInput: it is a folder, or its name cannot be one of the Hub.
            Conflict: it is not whole.
            WorkerError: the Hub does not answer, or refuses.
        """
        found = self.models.find(request.model, request.kind)
        card = self.models.describe(request.model, kind=request.kind, digest=not request.dry_run)
        self._check(found, card)
        repo, name = request.huggingface, request.name or found.path.name
        name = name if name.endswith(found.path.suffix) else f"{name}{found.path.suffix}"
        shown = self._samples(card) if request.samples else {}
        has_card = card.kind == ModelKind.LORA
        if not request.dry_run:
            text = lora_card(
                self._trained(card, name),
                repo_id=repo.repo_id,
                weights=name,
                step=card.step,
                samples=list(shown),
            )
            with self.stores.open(repo) as store:
                store.put_file(found.path, name, sha256=card.sha256)
                for sample, path in shown.items():
                    store.put_file(path, sample.path)
                has_card = has_card and put_card(store, text, self.scratch)
        return PublishModelResult(
            repo_id=repo.repo_id,
            url=f"{self.endpoint}/{repo.repo_id}",
            file=name,
            size_bytes=card.size_bytes or 0,
            samples=[sample.path for sample in shown],
            card=has_card,
            dry_run=request.dry_run,
        )

    @staticmethod
    def _check(found: FoundModel, card: ModelCardView) -> None:
        if found.diffusers:
            raise InvalidInput(f"{found.name} is a folder; only a single file can be published.")
        if found.path.suffix == weights.SUFFIX and not card.whole:
            raise Conflict(f"{found.path.name} is cut off or still being written: it is not published.")

    def _trained(self, card: ModelCardView, name: str) -> TrainedModel:
        """Return the model as its card on the Hub describes it: what a person wrote goes first."""
        base, words = card.base_model, card.trigger_words or []
        if card.process_id is not None and (training := self._training(card.process_id)) is not None:
            base = training.base_model or base
        title = card.title or Path(name).stem
        return TrainedModel(name=title, base_model=base, trigger_word=words[0] if words else None)

    def _training(self, process_id: str) -> TrainedModel | None:
        try:
            record = self.processes.get(process_id)
        except WorkerError:
            return None
        if record.training is None:
            return None
        shown = read_shown_config(LOCAL_FILES, self.workspace, process_id)
        return TrainedModel(
            name=record.name,
            base_model=record.training.base_model,
            prompts=shown.sample_prompts if shown else (),
        )

    def _samples(self, card: ModelCardView) -> Mapping[CardSample, Path]:
        """Return the newest samples that the model, or an earlier checkpoint of its training, has drawn."""
        training = None if card.process_id is None else self._training(card.process_id)
        if training is None or card.process_id is None:
            return {}
        drawn = samples(self.processes.get(card.process_id).run_folder(self.workspace))
        drawn = [one for one in drawn if card.step is None or one.step <= card.step]
        newest = max((one.step for one in drawn), default=None)
        prompts = dict(enumerate(training.prompts))
        return {
            CardSample(path=f"samples/{one.path.name}", prompt=prompts.get(one.index)): one.path
            for one in [one for one in drawn if one.step == newest][:SHOWN]
        }


async def publish_model(request: PublishModelRequest, *, publisher: ModelPublisher) -> PublishModelResult:
    """Send everything in a thread."""
    return await _UPLOADS.run(publisher.publish, request)


ACTION = Action(
    type="publish_model",
    summary="Publish a model to a repository on the HuggingFace Hub: its file, a card, and samples of its training.",
    request=PublishModelRequest,
    result=PublishModelResult,
    run=publish_model,
    destroys=True,
)
