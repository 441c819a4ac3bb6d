"""Upload a dataset straight to the volume; a worker adds it to the dataset when it looks at datasets next."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lorapod.client.bucket_files import BucketFiles
from lorapod.client.errors import TransferFailed
from lorapod.client.multipart import send_file
from lorapod.client.packing import FolderFiles
from lorapod.client.upload import OnUpload, UploadedDataset, UploadProgress
from lorapod.volume.arriving import (
    FILES,
    MANIFEST,
    RESULT,
    ArrivingFile,
    ArrivingUpload,
    arriving_folder,
)
from lorapod.wire.dataset import CAPTION_SUFFIXES, CONVERTED_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES
from lorapod.workspace import Workspace, safe_name

_FILES_AT_A_TIME: Final = 4


def upload_to_volume(
    files: BucketFiles,
    workspace: Workspace,
    folder: Path,
    training_name: str,
    *,
    trigger_word: str | None = None,
    fix: bool = False,
    on_progress: OnUpload | None = None,
) -> UploadedDataset:
    """Upload the images, captions, videos and zips in `folder`, as `upload_dataset` does through a worker.

    No worker uses a file of it before all have arrived. Call it again after it broke off: what has arrived is not sent
    again.

    Args:
        files: the volume.
        workspace: its layout.
        folder: the folder with the files; or one file.
        training_name: the dataset's name.
        trigger_word: added to captions that lack it.
        fix: have copies converted of images that trainers see otherwise than a person does.
        on_progress: called after each part.

    Raises:
        LocalFileNotFound: there is no such folder, or it has no file for a dataset.
        InvalidInput: the dataset cannot have this name.
        TransferFailed: a file did not arrive as it was sent.
        LorapodError: the volume does not answer, or refuses.
    """
    safe_name(training_name, field="training_name")
    found = FolderFiles.of(folder)
    with found.to_send() as paths:
        upload = ArrivingUpload(
            training_name=training_name,
            trigger_word=trigger_word,
            fix=fix,
            files=[_arriving(number, path) for number, path in enumerate(paths)],
            created_at=datetime.now(UTC),
        )
        _Sending(files, workspace, upload, paths, on_progress).send()
    sent = [*found.top, *found.nested]
    return UploadedDataset(
        training_name=training_name,
        path=workspace.relative(workspace.training_data / training_name),
        images=_count(sent, IMAGE_SUFFIXES | CONVERTED_SUFFIXES),
        videos=_count(sent, VIDEO_SUFFIXES),
        captions=_count(sent, CAPTION_SUFFIXES),
        images_without_caption=(),
        total_bytes=upload.total_bytes,
        rejected=(),
        skipped=tuple(found.skipped),
        arriving=True,
    )


@dataclass(frozen=True)
class _Sending:
    files: BucketFiles
    workspace: Workspace
    upload: ArrivingUpload
    paths: Sequence[Path]
    on_progress: OnUpload | None

    def send(self) -> None:
        root = arriving_folder(self.workspace) / self.upload.upload_id
        present = {entry.path: entry.state().size_bytes for entry in self.files.below(root)}
        if root / MANIFEST in present:
            # It was published before, and waits for a worker.
            return
        if root / RESULT in present:
            # Of the same upload, earlier: it is wanted again.
            self.files.bucket.request("DELETE", self.files.key(root / RESULT))
        progress = _Progress(self.upload, self.on_progress)
        (first, first_path), *rest = zip(self.upload.files, self.paths, strict=True)
        # Alone, because it makes the folder: some servers fail if several do so at once.
        self._send(root / FILES / first.stored_as, first, first_path, present, progress)
        with ThreadPoolExecutor(_FILES_AT_A_TIME, "volume-upload") as pool:
            sending = [
                pool.submit(self._send, root / FILES / file.stored_as, file, path, present, progress)
                for file, path in rest
            ]
            try:
                for each in as_completed(sending):
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        manifest = self.upload.model_dump_json(exclude_none=True).encode()
        self.files.bucket.request("PUT", self.files.key(root / MANIFEST), body=manifest)

    def _send(
        self,
        target: Path,
        file: ArrivingFile,
        path: Path,
        present: Mapping[Path, int],
        progress: _Progress,
    ) -> None:
        # Under the id of this upload only these very bytes were ever sent; a part of them is no file.
        if present.get(target) == file.size_bytes:
            progress.add(file.size_bytes)
        else:
            send_file(self.files.bucket, self.files.key(target), path, progress.add)
            if path.stat().st_size != file.size_bytes:
                raise TransferFailed(f"{path.name} changed while it was sent.", hint="Upload it again.")
        progress.end_file()


class _Progress:
    """Counts what all threads have sent."""

    def __init__(self, upload: ArrivingUpload, on_progress: OnUpload | None) -> None:
        self._upload = upload
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._files = self._sent_bytes = 0

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self._sent_bytes += size_bytes
            self._report()

    def end_file(self) -> None:
        with self._lock:
            self._files += 1
            self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(
                UploadProgress(
                    files=self._files,
                    total_files=len(self._upload.files),
                    sent_bytes=self._sent_bytes,
                    total_bytes=self._upload.total_bytes,
                )
            )


def _arriving(number: int, path: Path) -> ArrivingFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ArrivingFile(
        filename=path.name,
        stored_as=f"{number:06d}",
        size_bytes=path.stat().st_size,
        sha256=digest,
    )


def _count(paths: Sequence[Path], suffixes: frozenset[str]) -> int:
    return sum(path.suffix.lower() in suffixes for path in paths)
