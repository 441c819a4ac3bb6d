"""Upload a dataset: small files in batches, large files in parts, no file twice."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.client.calls import QueueCalls
from lorapod.client.download import PathLike, list_files, sha256_of
from lorapod.client.errors import ConflictError, NotFoundError, TransferFailed
from lorapod.client.packing import FolderFiles
from lorapod.client.reading import read
from lorapod.volume.file_page import FileView
from lorapod.wire.dataset import FixedFile, RejectedFile

#: Largest body of one request, bytes of JSON: below the 10 MB of RunPod's queue, its envelope included.
BATCH_MAX_BYTES = 9_500_000

#: Bytes of it that are reserved for the envelope: `input`, `type`, names, `policy`.
_ENVELOPE_BYTES = 4_096

#: A file beyond this size is sent in parts of this size; in base64 it grows by a third.
PART_BYTES = 6_000_000

#: From this size on, asking whether the worker has a file costs less than sending it again.
_ASK_FIRST_BYTES = 500_000

#: How often the worker may name another offset for a file before the upload fails.
_CORRECTIONS = 3


@dataclass(frozen=True, kw_only=True)
class UploadProgress:
    """How much of a folder has been uploaded."""

    files: int
    total_files: int
    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class UploadedDataset:
    """A dataset on the worker."""

    training_name: str
    #: Relative to the workspace.
    path: str
    images: int
    captions: int
    images_without_caption: Sequence[str]
    total_bytes: int
    #: Files that the worker refused.
    rejected: Sequence[RejectedFile]
    #: Names in the folder that cannot be part of a dataset and were not sent; hidden files are not listed.
    skipped: Sequence[str]
    #: Names on the worker of files that could not keep theirs, by the name in the folder.
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: Images that were converted on the worker.
    fixed: Sequence[FixedFile] = ()
    videos: int = 0
    #: What the person should know of the dataset, a sentence each.
    warnings: Sequence[str] = ()
    #: It lies on the volume, and no worker has looked at it yet: the counts are of the files that were sent, by their names.
    arriving: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        models = {
            name: [one.model_dump(mode="json", exclude_none=True) for one in getattr(self, name)]
            for name in ("rejected", "fixed")
        }
        return {each.name: getattr(self, each.name) for each in fields(self)} | models


OnUpload = Callable[[UploadProgress], None]


async def upload_dataset(
    calls: QueueCalls,
    folder: PathLike,
    training_name: str,
    *,
    trigger_word: str | None = None,
    fix: bool = False,
    on_progress: OnUpload | None = None,
) -> UploadedDataset:
    """Upload the images, captions, videos and zips in `folder`.

    If there are folders in it, all files are sent in one zip: the worker makes the folders a part of the names, and
    understands repeats (`10_cat`) and control images.

    Call it again after it broke off: large files that the worker has are not sent again, and one that was partly
    sent is continued.

    Args:
        calls: the calls to the endpoint.
        folder: the folder with the files.
        training_name: the dataset's name on the worker.
        trigger_word: added to captions that lack it.
        fix: have copies converted of images that trainers see otherwise than a person does.
        on_progress: called after each request.

    Raises:
        LocalFileNotFound: there is no such folder, or it has no file for a dataset.
        LocalFileError: a file cannot be read.
        TransferFailed: the worker does not accept the next part of a file.
        LorapodError: the worker does not answer, or refuses the dataset.
    """
    with_files = calls.runtime.with_files
    files = await with_files(lambda: FolderFiles.of(Path(folder)))
    options = {"training_name": training_name, "trigger_word": trigger_word, "fix": fix or None}
    with ExitStack() as packed:
        paths = await with_files(lambda: packed.enter_context(files.to_send()))
        sizes = await with_files(lambda: {path: path.stat().st_size for path in paths})
        session = _Upload(calls, options, sizes, on_progress)
        await session.send()
    answer = session.answer
    return UploadedDataset(
        training_name=answer["training_name"],
        path=answer["path"],
        images=answer["images"],
        videos=answer.get("videos", 0),
        captions=answer["captions"],
        images_without_caption=tuple(answer.get("images_without_caption", ())),
        total_bytes=answer["total_bytes"],
        rejected=tuple(read(RejectedFile, one) for one in session.rejected),
        skipped=tuple(files.skipped),
        renamed=dict(session.renamed),
        fixed=tuple(read(FixedFile, one) for one in session.fixed),
        # Each answer tells of its own files, and of the whole dataset.
        warnings=tuple(dict.fromkeys((*session.warnings, *answer.get("dataset_warnings", ())))),
    )


class _Upload:
    """One upload of the files of a folder."""

    def __init__(
        self,
        calls: QueueCalls,
        options: dict[str, Any],
        sizes: Mapping[Path, int],
        on_progress: OnUpload | None,
    ) -> None:
        self._calls = calls
        self._with_files = calls.runtime.with_files
        self._options = {name: value for name, value in options.items() if value is not None}
        self._sizes = sizes
        self._on_progress = on_progress
        self._total_bytes = sum(sizes.values())
        self._files = 0
        self._sent_bytes = 0
        self.rejected: list[dict[str, Any]] = []
        self.fixed: list[dict[str, Any]] = []
        self.renamed: dict[str, str] = {}
        self.warnings: list[str] = []
        self.answer: dict[str, Any] = {}

    async def send(self) -> None:
        missing, present = await self._split()
        if not missing:
            # Only the answer to an upload tells the state of the dataset, and an upload needs a file.
            missing = [present.pop()]
        for path in present:
            self._report(1, self._sizes[path])
        small = [path for path in missing if self._sizes[path] <= PART_BYTES]
        for path in missing:
            if self._sizes[path] > PART_BYTES:
                await self._send_in_parts(path)
        batches = _batches(small)
        while (batch := await self._with_files(lambda: next(batches, None))) is not None:
            await self._request([entry for entry, _ in batch])
            self._report(len(batch), sum(size_bytes for _, size_bytes in batch))

    async def _split(self) -> tuple[list[Path], list[Path]]:
        """Return the files to send, and those that the worker already has, the smallest last."""
        known = await self._present()
        missing: list[Path] = []
        present: list[Path] = []
        for path in self._sizes:
            large = self._sizes[path] >= _ASK_FIRST_BYTES
            is_present = large and await self._is_present(path, known.get(path.name))
            (present if is_present else missing).append(path)
        return missing, sorted(present, key=self._sizes.__getitem__, reverse=True)

    async def _present(self) -> dict[str, FileView]:
        """Return the files of the dataset on the worker, by name; ask only if one here is large."""
        if all(self._sizes[path] < _ASK_FIRST_BYTES for path in self._sizes):
            return {}
        try:
            files = await list_files(self._calls, f"training_data/{self._options['training_name']}")
        except NotFoundError:
            return {}
        return {file.name: file for file in files}

    async def _is_present(self, path: Path, known: FileView | None) -> bool:
        if known is None or known.size_bytes != self._sizes[path]:
            return False
        there = await sha256_of(self._calls, known.path)
        return there == await self._with_files(lambda: _sha256(path))

    async def _send_in_parts(self, path: Path) -> None:
        size_bytes = self._sizes[path]
        whole = {"size_bytes": size_bytes, "sha256": await self._with_files(lambda: _sha256(path))}
        offset = 0
        corrections = 0
        while offset < size_bytes:
            part = await self._with_files(partial(_part_entry, path, offset))
            try:
                answer = await self._request([part | whole | {"offset": offset}])
            except ConflictError as error:
                corrections += 1
                offset = _expected_offset(error, corrections)
                continue
            if not answer["files"]:
                break
            received = int(answer["files"][0]["received_bytes"])
            if received <= offset:
                raise TransferFailed(
                    f"{path.name}: the worker accepts no byte after {offset}; upload the folder again."
                )
            self._report(0, received - offset)
            offset = received
        self._report(1, 0)

    async def _request(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.answer = await self._calls.call("upload_training_data", files=entries, **self._options)
        self.rejected += self.answer.get("rejected", ())
        self.fixed += self.answer.get("fixed", ())
        self.renamed |= self.answer.get("renamed", {})
        self.warnings += self.answer.get("warnings", ())
        return self.answer

    def _report(self, files: int, size_bytes: int) -> None:
        self._files += files
        self._sent_bytes += size_bytes
        if self._on_progress:
            self._on_progress(
                UploadProgress(
                    files=self._files,
                    total_files=len(self._sizes),
                    sent_bytes=self._sent_bytes,
                    total_bytes=self._total_bytes,
                )
            )


def _batches(paths: Sequence[Path]) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """Yield the files in requests of less than `BATCH_MAX_BYTES` of JSON; read each file only when it is needed."""
    batch: list[tuple[dict[str, Any], int]] = []
    batch_bytes = _ENVELOPE_BYTES
    for path in paths:
        data = path.read_bytes()
        entry = _entry(path, data) | {"sha256": hashlib.sha256(data).hexdigest()}
        entry_bytes = len(json.dumps(entry | {"content": ""})) + len(entry["content"]) + 1
        if batch and batch_bytes + entry_bytes > BATCH_MAX_BYTES:
            yield batch
            batch, batch_bytes = [], _ENVELOPE_BYTES
        batch.append((entry, len(data)))
        batch_bytes += entry_bytes
    if batch:
        yield batch


def _entry(path: Path, data: bytes) -> dict[str, Any]:
    content_type, _ = mimetypes.guess_type(path.name)
    entry: dict[str, Any] = {"filename": path.name, "content": base64.b64encode(data).decode()}
    return entry | ({"content_type": content_type} if content_type else {})


def _part_entry(path: Path, offset: int) -> dict[str, Any]:
    with path.open("rb") as file:
        file.seek(offset)
        return _entry(path, file.read(PART_BYTES))


def _expected_offset(error: ConflictError, corrections: int) -> int:
    """Return the offset that the worker expects; raise `error` if it names none, or too often."""
    for detail in error.details:
        if isinstance(offset := detail.get("expected_offset"), int) and corrections <= _CORRECTIONS:
            return offset
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
