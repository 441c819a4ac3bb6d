"""Generated files in an answer: as bytes, URLs or paths, never more than one answer holds."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.actions.action import RunPodJob
from lorapod.errors import InvalidInput, Unsupported, WorkerError
from lorapod.files.digests import DigestBook
from lorapod.files.image_header import image_header
from lorapod.kinds import FileKind, content_type_of, kind_of
from lorapod.settings import Settings
from lorapod.storage.shares import FileShares
from lorapod.wire.generation import Delivery, OutputType, OutputView
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: What an answer holds beside its files: warnings, and the envelope around it.
_ROOM_BYTES = 100_000

#: What one file adds to an answer beside its bytes; a signed URL is most of it.
_FILE_BYTES = 2_000


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files of one answer."""

    images: Sequence[OutputView] = ()
    videos: Sequence[OutputView] = ()
    other: Sequence[OutputView] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Made:
    path: Path
    size_bytes: int
    seed: int | None
    listed_as: str | None


@dataclass(frozen=True, kw_only=True)
class OutputDelivery:
    """What puts generated files into an answer: bytes, URLs or paths, never more than one reply holds."""

    settings: Settings
    workspace: Workspace
    digests: DigestBook
    shares: FileShares

    def outputs(
        self, files: Sequence[Mapping[str, Any]], delivery: Delivery | None, job: RunPodJob
    ) -> Outputs:
        """Describe files of the workspace for an answer; blocks while they are read or uploaded.

        Args:
            files: `{"path", "seed", "listed_as"}` each, as a generation's record keeps them.
            delivery: how the caller wants them; None: as bytes while they fit, else by URL.
            job: may bring an object store of its own.
        """
        warnings: list[str] = []
        made = list(self._found(files, warnings))
        budget = self.settings.max_reply_bytes - _ROOM_BYTES
        if len(made) > (shown := budget // _FILE_BYTES):
            warnings.append(
                f"There are {len(made)} files, more than one answer can name: `list_files` shows all."
            )
            made = made[:shown]
        budget -= _FILE_BYTES * len(made)
        whole = sum(_encoded_bytes(each) for each in made)
        if delivery is Delivery.BUCKET and not self._has_bucket(job, warnings):
            delivery = None
        if delivery in {None, Delivery.BASE64} and whole > budget:
            delivery = Delivery.URL if self._has_store(job) else delivery
            warnings.append(_too_large(whole, self.settings.max_reply_bytes, delivery))
        views: dict[FileKind, list[OutputView]] = {FileKind.IMAGE: [], FileKind.VIDEO: [], FileKind.OTHER: []}
        for each in made:
            kind, view = self._plain(each)
            place = views.get(kind, views[FileKind.OTHER])
            if delivery in {Delivery.URL, Delivery.BUCKET}:
                view = self._by_url(each, view, job, warnings, of_job=delivery is Delivery.BUCKET)
            # What was made is not lost with the bucket: callers of this form know base64 too.
            beside = delivery is Delivery.BUCKET and view.type is OutputType.PATH
            if (beside or delivery in {None, Delivery.BASE64}) and _encoded_bytes(each) <= budget:
                budget -= _encoded_bytes(each)
                data = base64.b64encode(each.path.read_bytes()).decode("ascii")
                view = view.model_copy(update={"type": OutputType.BASE64, "data": data})
            place.append(view)
        return Outputs(
            images=views[FileKind.IMAGE],
            videos=views[FileKind.VIDEO],
            other=views[FileKind.OTHER],
            warnings=warnings,
        )

    def _found(self, files: Sequence[Mapping[str, Any]], warnings: list[str]) -> Iterator[_Made]:
        for file in files:
            path = self.workspace.root / file["path"]
            try:
                yield _Made(
                    path=path,
                    size_bytes=path.stat().st_size,
                    seed=file.get("seed"),
                    listed_as=file.get("listed_as"),
                )
            except FileNotFoundError:
                warnings.append(f"{file['path']} no longer exists.")

    def _has_store(self, job: RunPodJob) -> bool:
        try:
            self.shares.check(job_s3=job.s3)
        except (Unsupported, InvalidInput):
            # No store is set, or one of its settings is missing.
            return False
        return True

    def _has_bucket(self, job: RunPodJob, warnings: list[str]) -> bool:
        """Return whether there is an S3 bucket for this form; warn if one is set, but not whole."""
        missing = self.shares.missing_of_bucket(job_s3=job.s3)
        if missing:
            warnings.append(f"The results are not in the S3 bucket: {missing}")
        return missing == ""

    def _plain(self, made: _Made) -> tuple[FileKind, OutputView]:
        """Return the file's kind and its description; an animation is a video, whatever its suffix."""
        name = made.path.name
        kind = kind_of(name)
        header = image_header(made.path) if kind is FileKind.IMAGE else None
        if header is not None and header.animated:
            kind = FileKind.VIDEO
        return kind, OutputView(
            filename=name,
            type=OutputType.PATH,
            path=self.workspace.relative(made.path),
            content_type=content_type_of(name) if header is None else header.content_type,
            size_bytes=made.size_bytes,
            width=None if header is None else header.width,
            height=None if header is None else header.height,
            seed=made.seed,
            listed_as=made.listed_as,
        )

    def _by_url(
        self, made: _Made, view: OutputView, job: RunPodJob, warnings: list[str], *, of_job: bool
    ) -> OutputView:
        """Upload the file, to the folder of its job or to that of shared files; keep `view`, with `error`, if that fails."""
        try:
            sha256 = self.digests.sha256(made.path)
            shared = (
                self.shares.share_of_job(made.path, sha256=sha256, job_id=job.job_id, job_s3=job.s3)
                if of_job
                else self.shares.share(made.path, sha256=sha256, job_s3=job.s3)
            )
        except WorkerError as error:
            # Results that took minutes to make are not lost because a bucket does not answer for a moment.
            logger.warning("result not uploaded", extra={"path": view.path, "reason": error.message})
            problem = f"{view.filename} could not be uploaded: {error.message}"
            warnings.append(f"{problem} Fetch it with `download_file`, by its `path`.")
            return view.model_copy(update={"error": problem})
        return view.model_copy(
            update={"type": OutputType.URL, "url": shared.url, "expires_at": shared.expires_at}
        )


def _encoded_bytes(made: _Made) -> int:
    return (made.size_bytes + 2) // 3 * 4


def _too_large(whole: int, max_bytes: int, delivery: Delivery | None) -> str:
    begin = f"The results are {whole} bytes as base64, more than one answer holds ({max_bytes})"
    if delivery is Delivery.URL:
        return f"{begin}: they are at URLs of the object store instead."
    return (
        f"{begin}, and this endpoint has no object store: fetch those without `data` with `download_file`, by "
        "their `path`."
    )
