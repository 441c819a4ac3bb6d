"""Write the card of a LoRA repository on the Hub, with its first weights and again at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from lorapod.errors import InvalidInput, NotFound
from lorapod.storage.mirror.artifact import Artifact, ArtifactKind
from lorapod.storage.mirror.ledger import UploadLedger
from lorapod.storage.model_card import CardSample, is_untouched, lora_card
from lorapod.storage.port import ObjectStore
from lorapod.weights import read_header, step_of

KEY = "README.md"
#: Most sample images on a card.
SHOWN = 8

_STEP = re.compile(r".*_(?P<step>\d{9})")
_SAMPLE = re.compile(r"\d+__(?P<step>\d{9})_(?P<index>\d+)")


def card_of(ledger: UploadLedger, found: list[Artifact]) -> str | None:
    """Return the text of the card for what was sent; None: there are no weights yet, or the target is not the Hub."""
    repo = ledger.target.huggingface
    if repo is None or ledger.model is None:
        return None
    sent = [artifact for artifact in found if artifact.key in ledger.sent]
    weights = [artifact for artifact in sent if artifact.kind is ArtifactKind.CHECKPOINT]
    if not weights:
        return None
    best = max(weights, key=lambda artifact: (_step(artifact) is None, _step(artifact) or 0, artifact.key))
    step = _step(best)
    return lora_card(
        ledger.model,
        repo_id=repo.repo_id,
        weights=best.key,
        step=_step_within(best.path) if step is None else step,
        samples=list(_last_samples(sent, ledger.model.prompts)),
    )


def put_card(store: ObjectStore, text: str, scratch: Path) -> bool:
    """Write the card unless there is one that a person has written or edited; return whether it was written.

    Raises:
        WorkerError: the store does not answer, or refuses.
        OSError: the disk is full.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="card-") as folder:
        path = Path(folder, KEY)
        try:
            store.get_file(KEY, path)
        except NotFound:
            pass
        else:
            there = path.read_text(encoding="utf-8", errors="replace")
            if there == text:
                return True
            if there.strip() and not is_untouched(there):
                return False
        path.write_text(text, encoding="utf-8")
        store.put_file(path, KEY)
    return True


def _step(artifact: Artifact) -> int | None:
    """Return the step in the file's name; None for the final weights."""
    match = _STEP.fullmatch(artifact.path.stem)
    return int(match["step"]) if match else None


def _step_within(path: Path) -> int | None:
    try:
        return step_of(read_header(path))
    except (InvalidInput, NotFound):
        return None


def _last_samples(sent: list[Artifact], prompts: Sequence[str]) -> Iterator[CardSample]:
    named = [
        (int(match["step"]), int(match["index"]), artifact.key)
        for artifact in sent
        if artifact.kind is ArtifactKind.SAMPLE
        and (match := _SAMPLE.fullmatch(PurePosixPath(artifact.key).stem))
    ]
    last = max((step for step, _, _ in named), default=0)
    for step, index, key in sorted(named):
        if step == last and index < SHOWN:
            yield CardSample(path=key, prompt=prompts[index] if index < len(prompts) else None)
