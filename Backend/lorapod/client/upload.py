"""Upload a dataset: small files in batches, large files in parts, no file twice."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorapod.client.download import list_files, sha256_of
from lorapod.client.errors import ConflictError, NotFoundError, TransferFailed
from lorapod.client.packing import FolderFiles
from lorapod.client.queue import QueueClient

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
    #: Files that the worker refused: `{filename, code, error}` each.
    rejected: Sequence[dict[str, Any]]
    #: Names in the folder that cannot be part of a dataset and were not sent; hidden files are not listed.
    skipped: Sequence[str]
    #: Names on the worker of files that could not keep theirs, by the name in the folder.
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: Images that were converted on the worker: `{name, what}` each.
    fixed: Sequence[dict[str, Any]] = ()
    videos: int = 0
    #: What the person should know of the dataset, a sentence each.
    warnings: Sequence[str] = ()
    #: It lies on the volume, and no worker has looked at it yet: the counts are of the files that were sent, by their names.
    arriving: bool = False


OnUpload = Callable[[UploadProgress], None]


def upload_dataset(
    client: QueueClient,
    folder: Path,
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
        client: the client of the endpoint.
        folder: the folder with the files.
        training_name: the dataset's name on the worker.
        trigger_word: added to captions that lack it.
        fix: have copies converted of images that trainers see otherwise than a person does.
        on_progress: called after each request.

    Raises:
        FileNotFoundError: there is no such folder, or it has no file for a dataset.
        TransferFailed: the worker does not accept the next part of a file.
        LorapodError: the worker does not answer, or refuses the dataset.
    """
    files = FolderFiles.of(folder)
    options = {"training_name": training_name, "trigger_word": trigger_word, "fix": fix or None}
    with files.to_send() as paths:
        session = _Upload(client, options, list(paths), on_progress)
        session.send()
    answer = session.answer
    return UploadedDataset(
        training_name=answer["training_name"],
        path=answer["path"],
        images=answer["images"],
        videos=answer.get("videos", 0),
        captions=answer["captions"],
        images_without_caption=tuple(answer.get("images_without_caption", ())),
        total_bytes=answer["total_bytes"],
        rejected=tuple(session.rejected),
        skipped=tuple(files.skipped),
        renamed=dict(session.renamed),
        fixed=tuple(session.fixed),
        # Each answer tells of its own files, and of the whole dataset.
        warnings=tuple(dict.fromkeys((*session.warnings, *answer.get("dataset_warnings", ())))),
    )


class _Upload:
    """One upload of the files of a folder."""

    def __init__(
        self,
        client: QueueClient,
        options: dict[str, Any],
        paths: list[Path],
        on_progress: OnUpload | None,
    ) -> None:
        self._client = client
        self._options = {name: value for name, value in options.items() if value is not None}
        self._paths = paths
        self._on_progress = on_progress
        self._total_bytes = sum(path.stat().st_size for path in paths)
        self._files = 0
        self._sent_bytes = 0
        self.rejected: list[dict[str, Any]] = []
        self.fixed: list[dict[str, Any]] = []
        self.renamed: dict[str, str] = {}
        self.warnings: list[str] = []
        self.answer: dict[str, Any] = {}

    def send(self) -> None:
        missing, present = self._split()
        if not missing:
            # Only the answer to an upload tells the state of the dataset, and an upload needs a file.
            missing = [present.pop()]
        for path in present:
            self._report(1, path.stat().st_size)
        small = [path for path in missing if path.stat().st_size <= PART_BYTES]
        for path in missing:
            if path.stat().st_size > PART_BYTES:
                self._send_in_parts(path)
        for batch in _batches(small):
            self._request([entry for entry, _ in batch])
            self._report(len(batch), sum(size_bytes for _, size_bytes in batch))

    def _split(self) -> tuple[list[Path], list[Path]]:
        """Return the files to send, and those that the worker already has, the smallest last."""
        known = self._present()
        missing: list[Path] = []
        present: list[Path] = []
        for path in self._paths:
            large = path.stat().st_size >= _ASK_FIRST_BYTES
            (present if large and self._is_present(path, known.get(path.name)) else missing).append(path)
        return missing, sorted(present, key=lambda path: path.stat().st_size, reverse=True)

    def _present(self) -> dict[str, dict[str, Any]]:
        """Return the files of the dataset on the worker, by name; ask only if one here is large."""
        if all(path.stat().st_size < _ASK_FIRST_BYTES for path in self._paths):
            return {}
        try:
            files = list_files(self._client, f"training_data/{self._options['training_name']}")
        except NotFoundError:
            return {}
        return {file["name"]: file for file in files}

    def _is_present(self, path: Path, known: dict[str, Any] | None) -> bool:
        if known is None or known["size_bytes"] != path.stat().st_size:
            return False
        return sha256_of(self._client, known["path"]) == _sha256(path)

    def _send_in_parts(self, path: Path) -> None:
        size_bytes = path.stat().st_size
        whole = {"size_bytes": size_bytes, "sha256": _sha256(path)}
        offset = 0
        corrections = 0
        with path.open("rb") as file:
            while offset < size_bytes:
                file.seek(offset)
                part = _entry(path, file.read(PART_BYTES)) | whole | {"offset": offset}
                try:
                    answer = self._request([part])
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

    def _request(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.answer = self._client.call("upload_training_data", files=entries, **self._options)
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
                    total_files=len(self._paths),
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


def _expected_offset(error: ConflictError, corrections: int) -> int:
    """Return the offset that the worker expects; raise `error` if it names none, or too often."""
    for detail in error.details:
        if isinstance(offset := detail.get("expected_offset"), int) and corrections <= _CORRECTIONS:
            return offset
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
