"""Answers of actions that are read from the volume: in the form that a worker answers, without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from lorapod.dataset_reader.volume_datasets import UnopenedItem, UnopenedPage, VolumeDatasets
from lorapod.kinds import FileKind
from lorapod.records.status import ProcessStatus
from lorapod.volume.file_page import file_view
from lorapod.volume.requests import (
    DatasetsRequest,
    ListFilesRequest,
    LogsRequest,
    MetricsRequest,
    ProcessesRequest,
    ProcessStatusRequest,
    UnopenedDatasetRequest,
)
from lorapod.volume.view import VolumeView
from lorapod.wire.gallery import DatasetItemView
from lorapod.wire.model import Request, WireModel
from lorapod.wire.validation import parse

#: Each action that the volume can answer, and what it takes; a request with another field needs a worker.
_REQUESTS: Final[Mapping[str, type[Request]]] = {
    "process_status": ProcessStatusRequest,
    "processes": ProcessesRequest,
    "logs": LogsRequest,
    "metrics": MetricsRequest,
    "datasets": DatasetsRequest,
    "dataset": UnopenedDatasetRequest,
    "list_files": ListFilesRequest,
}


class VolumeAnswers:
    """Answers actions from one volume."""

    def __init__(self, view: VolumeView) -> None:
        """Read through `view`."""
        self._view = view
        self._datasets_of_volume = VolumeDatasets(view)
        self._actions: Mapping[str, Callable[..., dict[str, Any]]] = {
            "process_status": self._process_status,
            "processes": self._processes,
            "logs": self._logs,
            "metrics": self._metrics,
            "list_files": self._list_files,
            "datasets": self._datasets,
            "dataset": self._dataset,
        }

    @staticmethod
    def can_answer(action: str, fields: Mapping[str, Any]) -> bool:
        """Return whether the volume alone answers this request."""
        if action == "dataset" and fields.get("thumbnail_px") != 0:
            return False  # thumbnails that no worker has made yet would be missing
        return action in _REQUESTS and fields.keys() <= _REQUESTS[action].model_fields.keys()

    def answer(self, action: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request for which `can_answer` is true.

        Raises:
            WorkerError: what a worker would refuse.
            LorapodError: the volume does not answer, or refuses.
        """
        request = parse(_REQUESTS[action], fields)
        return self._actions[action](**{name: getattr(request, name) for name in request.model_fields_set})

    def _process_status(
        self, process_id: str, *, log_tail: int | None = None, metrics: bool = False
    ) -> dict[str, Any]:
        return self._view.process(process_id, log_tail=log_tail, metrics=metrics).answer()

    def _processes(
        self,
        *,
        status: ProcessStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
        sweep_id: str | None = None,
    ) -> dict[str, Any]:
        page = self._view.processes(
            status=status,
            limit=limit,
            cursor=cursor,
            sweep_id=sweep_id,
        )
        shown = [_json(one) for one in page.processes]
        return {"processes": shown, "count": len(shown)} | _next(page.next_cursor)

    def _logs(self, process_id: str, *, offset: int = 0, limit: int = 256_000) -> dict[str, Any]:
        # Before the log: what a process writes before its end is in the part that is read after it.
        ended = self._view.record(process_id).status.final
        part = self._view.log(process_id, offset=offset, limit=limit)
        return {
            "process_id": process_id,
            "text": part.text,
            "offset": part.offset,
            "next_offset": part.next_offset,
            "eof": part.eof and ended,
        }

    def _metrics(
        self,
        process_id: str,
        *,
        keys: list[str] | None = None,
        since_step: int | None = None,
        stride: int = 1,
    ) -> dict[str, Any]:
        found = self._view.metrics(process_id, keys=keys, since_step=since_step, stride=stride)
        last = {} if found.last_step is None else {"last_step": found.last_step}
        return {
            "process_id": process_id,
            "series": {
                key: [[step, value] for step, value in points] for key, points in found.series.items()
            },
            **last,
        }

    def _list_files(
        self,
        *,
        path: str | None = None,
        recursive: bool = True,
        pattern: str | None = None,
        kind: FileKind | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        page = self._view.list_files(
            path,
            recursive=recursive,
            pattern=pattern,
            kind=kind,
            limit=limit,
            cursor=cursor,
        )
        shown = [_json(file_view(one, self._view.workspace)) for one in page.files]
        return {"files": shown} | _next(page.next_cursor)

    def _datasets(self, *, limit: int = 100, cursor: str | None = None) -> dict[str, Any]:
        page = self._datasets_of_volume.list_datasets(limit=limit, cursor=cursor)
        # Beside what a worker answers: once it has looked, nothing is arriving any more.
        arriving = () if cursor is not None else self._datasets_of_volume.arriving()
        return {
            "datasets": [_json(one) for one in page.datasets],
            **({"arriving": [asdict(one) for one in arriving]} if arriving else {}),
        } | _next(page.next_cursor)

    def _dataset(
        self,
        training_name: str,
        *,
        caption_ext: str | None = None,
        limit: int = 200,
        cursor: str | None = None,
        thumbnail_px: int = 0,
    ) -> dict[str, Any]:
        page = self._datasets_of_volume.page(
            training_name, caption_ext=caption_ext, limit=limit, cursor=cursor, thumbnail_px=thumbnail_px
        )
        return self._shown_page(training_name, page)

    def dataset_with_thumbnails(
        self, training_name: str, *, limit: int, cursor: str | None, thumbnail_px: int
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return a page as `dataset` answers it, and where the thumbnails lie that a worker has kept, by the items' names.

        Raises:
            WorkerError: there is no such dataset.
            LorapodError: the volume does not answer, or refuses.
        """
        page = self._datasets_of_volume.page(
            training_name, limit=limit, cursor=cursor, thumbnail_px=thumbnail_px
        )
        kept = {
            one.item.name: self._view.workspace.relative(one.thumbnail)
            for one in page.items
            if one.thumbnail is not None
        }
        return self._shown_page(training_name, page), kept

    def _shown_page(self, training_name: str, page: UnopenedPage) -> dict[str, Any]:
        reading = page.reading
        return {
            "training_name": training_name,
            "path": self._view.workspace.relative(reading.entry.folder),
            "images": len(reading.images),
            "videos": len(reading.videos),
            "captions": len(reading.caption_files),
            "total_bytes": reading.total_bytes,
            "caption_ext": reading.entry.caption_ext,
            "items": [_json(self._item(one)) for one in page.items],
            "problems": [
                {"code": one.code, "message": one.message, "names": list(one.names)} for one in page.problems
            ],
            "buckets": [],
        } | _next(page.next_cursor)

    def _item(self, shown: UnopenedItem) -> DatasetItemView:
        item = shown.item
        return DatasetItemView(
            name=item.name,
            path=self._view.workspace.relative(item.path),
            kind=item.kind,
            size_bytes=item.file.size_bytes,
            caption=shown.caption,
            caption_name=item.caption_name,
            flags=list(shown.flags),
        )


def _json(shown: WireModel) -> dict[str, Any]:
    return shown.model_dump(mode="json", exclude_none=True, by_alias=True)


def _next(cursor: str | None) -> dict[str, Any]:
    return {} if cursor is None else {"next_cursor": cursor}
