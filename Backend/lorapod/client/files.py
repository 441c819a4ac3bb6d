"""Datasets and files on the worker: upload, list, download. Made by `make docs`: change the source, not this file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorapod.client import download
from lorapod.client.download import OnDownload, PathLike
from lorapod.client.queue import QueueClient
from lorapod.client.runtime import finish
from lorapod.client.upload import OnUpload, UploadedDataset
from lorapod.volume.file_page import FileView
from lorapod.wire.files import DownloadResult


class FilesClient(QueueClient):
    """Transfers of files; see `Client`."""

    def upload_dataset(
        self,
        folder: PathLike,
        training_name: str,
        *,
        trigger_word: str | None = None,
        fix: bool = False,
        on_progress: OnUpload | None = None,
    ) -> UploadedDataset:
        """Upload a folder's images, captions, videos and zips.

        Call it again after it broke off: large files that the worker has are not sent again, and one that was partly
        sent is continued.

        Args:
            folder: the folder with the files, or one zip. Folders in it become a part of the names; `10_cat` is
                understood as ten repeats.
            training_name: the dataset's name on the worker.
            trigger_word: added to captions that lack it.
            fix: have copies converted of images that trainers see otherwise than a person does.
            on_progress: called after each request.

        Raises:
            LocalFileNotFound: there is no such folder, or it has no file for a dataset.
            LocalFileError: a file cannot be read.
            TransferFailed: the worker does not accept the next part of a file.
            JobFailed: the worker refused the dataset; or another `LorapodError`.
        """
        return finish(
            self._calls.upload(
                folder, training_name, trigger_word=trigger_word, fix=fix, on_progress=on_progress
            )
        )

    def download(self, source: str, to: PathLike = ".", *, on_progress: OnDownload | None = None) -> Path:
        """Download a process's final artifact or one file of the workspace; return where it is.

        The file is written as `<name>.part` and renamed once its sha256 is the worker's. A `.part` of an earlier attempt
        is continued.

        Args:
            source: a process id (its final artifact), or a path of the workspace.
            to: a file, or a folder: an existing one, or a text that ends in a slash.
            on_progress: called after each part.

        Raises:
            NotFoundError: there is no such process or file.
            TransferFailed: what arrived is not what the worker has.
            LocalFileError: the file cannot be written here; or another `LorapodError`.
        """
        return finish(self._calls.download(source, to, on_progress=on_progress))

    def bulk_download(
        self,
        *,
        process_ids: Sequence[str] = (),
        file_paths: Sequence[str] = (),
        to: PathLike = ".",
        on_progress: OnDownload | None = None,
    ) -> Path:
        """Download many files, or all files of processes, as one zip; return where it is.

        Args:
            process_ids: processes whose checkpoints, samples, config and log to pack.
            file_paths: files and folders of the workspace to pack.
            to: as for `download`.
            on_progress: called after each part of the download.

        Raises:
            NotFoundError: there is no such process or file.
            TransferFailed: what arrived is not what the worker has; or another `LorapodError`.
        """
        return finish(
            download.bulk_download(self._calls, process_ids, file_paths, to, on_progress=on_progress)
        )

    def address(self, source: str) -> DownloadResult:
        """Return a URL (`url`) of a process's final artifact or of a file of the workspace, valid until `expires_at`.

        Args:
            source: a process id (its final artifact), or a path of the workspace.

        Raises:
            JobFailed: the endpoint has no object store (`code` is `unsupported`), or there is no such file.
        """
        return finish(download.address(self._calls, source))

    def list_files(
        self,
        path: str | None = None,
        *,
        kind: str | None = None,
        pattern: str | None = None,
        recursive: bool = True,
        limit: int | None = None,
    ) -> list[FileView]:
        """Return every file below a folder.

        Args:
            path: the folder, or one file; None: the whole workspace.
            kind: only files of this kind, for example `image`, `model` or `log`.
            pattern: a glob on the name (`*.png`), or, with a slash in it, on the path below `path`.
            recursive: whether to look into the folders below.
            limit: files of one request; all are returned.

        Raises:
            NotFoundError: there is no such folder.
        """
        return finish(
            download.list_files(
                self._calls,
                path,
                kind=kind,
                pattern=pattern,
                recursive=None if recursive else False,
                limit=limit,
            )
        )
