"""All calls to an endpoint and the workers behind it, as coroutines: the queue's, and transfers of files."""

from __future__ import annotations

from pathlib import Path

from lorapod.client import download as downloads
from lorapod.client import upload as uploads
from lorapod.client.calls import QueueCalls
from lorapod.client.download import OnDownload, PathLike
from lorapod.client.upload import OnUpload, UploadedDataset


class WorkerCalls(QueueCalls):
    """Calls to one endpoint and its workers."""

    async def download(self, source: str, to: PathLike, *, on_progress: OnDownload | None = None) -> Path:
        """Download a process's final artifact or one file; see `Client.download`."""
        return await downloads.download(self, source, to, on_progress=on_progress)

    async def content(self, path: str) -> bytes:
        """Return a small file of the workspace, for example a sample.

        Raises:
            TransferFailed: it did not arrive unchanged.
            LorapodError: the worker does not answer, or has no such file.
        """
        return await downloads.content(self, path)

    async def upload(
        self,
        folder: PathLike,
        training_name: str,
        *,
        trigger_word: str | None = None,
        fix: bool = False,
        on_progress: OnUpload | None = None,
    ) -> UploadedDataset:
        """Upload a folder as a dataset; see `Client.upload_dataset`."""
        return await uploads.upload_dataset(
            self, folder, training_name, trigger_word=trigger_word, fix=fix, on_progress=on_progress
        )
