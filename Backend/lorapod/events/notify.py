"""Tell a person that a training has ended: by e-mail, chat or phone, through Apprise."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from lorapod.events.event_data import (
    CompletedData,
    FailedData,
    StoppedData,
    SweepFailedData,
    SweepStoppedData,
    SweptData,
)
from lorapod.events.event_types import EventStatus
from lorapod.events.models import Event
from lorapod.events.port import Callback, Parcel, SinkUnavailable
from lorapod.processes.stopping import StopReason

if TYPE_CHECKING:
    from apprise import Apprise

logger = logging.getLogger(__name__)

#: For one notification; a service that takes longer is asked again later.
TIMEOUT_S = 20.0

#: Seconds after which a notification that cannot be sent is dropped: old news helps no person.
PATIENCE_S = 6 * 3600.0

#: Images that are larger are not attached.
ATTACHED_MAX_BYTES = 2_000_000

_SCHEME = re.compile("[a-z][a-z0-9+-]{1,15}")
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class NotifySink:
    """An `EventSink` for one service; it is told of ends alone."""

    durable = True

    def __init__(
        self, url: SecretStr, root: Path, *, name: str = "notify", patience_s: float = PATIENCE_S
    ) -> None:
        """Open no connection yet.

        Args:
            url: of the service, as Apprise writes it: `mailto://…`, `tgram://…`, `discord://…`.
            root: the workspace, for the sample that is attached.
            name: of the sink.
            patience_s: see `EventSink`.

        Raises:
            ValueError: Apprise is not installed, or does not know the URL.
        """
        self.name = name
        self.patience_s: float | None = patience_s
        self._root = root
        self._service = _service(url)

    def wants(self, callback: Callback | None) -> bool:
        """Return True: the operator wants to know of every training."""
        del callback
        return True

    async def deliver(self, parcel: Parcel) -> int:
        """Send a notification for each event that is an end.

        Raises:
            SinkUnavailable: the service does not take it.
        """
        for delivered, event in enumerate(parcel.events):
            if not _is_told(event):
                continue
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    taken = await self._send(event)
            except (TimeoutError, OSError):
                taken = False
            if not taken:
                if delivered:
                    return delivered
                raise SinkUnavailable("the notification service does not take the message")
        return len(parcel.events)

    async def close(self) -> None:
        """Do nothing: no connection stays open."""

    async def _send(self, event: Event) -> bool:
        from apprise import NotifyType

        kinds = {
            EventStatus.COMPLETED: NotifyType.SUCCESS,
            EventStatus.FAILED: NotifyType.FAILURE,
        }
        image = await asyncio.to_thread(self._image, event)
        return bool(
            await self._service.async_notify(
                title=_title(event),
                body=_body(event),
                notify_type=kinds.get(event.data.status, NotifyType.WARNING),
                attach=str(image) if image is not None else None,
            )
        )

    def _image(self, event: Event) -> Path | None:
        """Return the newest sample of a completed training, if it is small enough."""
        if not isinstance(event.data, CompletedData):
            return None
        samples = [
            path
            for path in event.data.artifacts
            if "/samples/" in path and Path(path).suffix.lower() in _IMAGES
        ]
        path = self._root / max(samples, key=lambda sample: Path(sample).name) if samples else None
        if path is None or not path.is_file() or path.stat().st_size > ATTACHED_MAX_BYTES:
            return None
        return path


#: What ended a training early, by `reason` of its event; without one it was cancelled by a person.
_EARLY_ENDS: Mapping[str, str] = {
    StopReason.LIMIT: "has reached its limit",
    StopReason.NO_IMPROVEMENT: "was stopped: it got no better",
}


def _is_told(event: Event) -> bool:
    """Return whether a person is told of an event: each end, but of a cancelled sweep only its own."""
    if not event.event_type.last:
        return False
    if isinstance(event.data, StoppedData) and event.data.reason == StopReason.SWEEP:
        return False
    return event.event_type.of_training or event.event_type.of_sweep


def _title(event: Event) -> str:
    words = {
        EventStatus.COMPLETED: "is complete",
        EventStatus.FAILED: "has failed",
        EventStatus.CANCELLED: "was cancelled",
        EventStatus.INTERRUPTED: "was interrupted",
    }
    data = event.data
    name = event.process_id
    if isinstance(data, CompletedData) and data.model:
        name = Path(data.model).stem
    elif isinstance(data, SweptData):
        name = f"the sweep {data.name}"
    early = None
    if isinstance(data, StoppedData | SweepStoppedData):
        early = _EARLY_ENDS.get(data.reason or "")
    return f"lorapod: {name} {early or words[data.status]}"


def _body(event: Event) -> str:
    data = event.data
    lines = [f"Process {event.process_id}"]
    if isinstance(data, SweptData):
        counts = [f"{count} {status}" for status, count in sorted(data.statuses.items())]
        lines.append(f"Its trainings: {', '.join(counts) or 'none was started'}")
    elif data.step is not None and data.total_steps:
        lines.append(f"Step {data.step} of {data.total_steps}")
    if isinstance(data, FailedData | SweepFailedData):
        lines += [data.error, *([data.hint] if data.hint else [])]
    if isinstance(data, StoppedData) and data.reason_detail is not None:
        lines.append(data.reason_detail)
    elif isinstance(data, StoppedData) and data.reason is not None and data.reason not in _EARLY_ENDS:
        lines.append(f"Reason: {data.reason}")
    if isinstance(data, CompletedData) and data.model:
        lines.append(f"Model: {data.model}")
    resumable = isinstance(data, SweepFailedData | SweepStoppedData) or (
        isinstance(data, FailedData | StoppedData) and data.resumable
    )
    if resumable:
        lines.append(f"`lorapod resume {event.process_id}` continues it.")
    return "\n".join(lines)


def _service(url: SecretStr) -> Apprise:
    try:
        from apprise import Apprise
    except ImportError as error:
        raise ValueError("NOTIFY_URLS needs the package apprise: install the extra `notify`.") from error
    # It writes URLs with their tokens to its log.
    logging.getLogger("apprise").disabled = True
    service = Apprise()
    if not service.add(url.get_secret_value()):
        scheme, separator, _ = url.get_secret_value().partition("://")
        shown = f"the {scheme}:// URL" if separator and _SCHEME.fullmatch(scheme) else "what is not a URL"
        raise ValueError(
            f"NOTIFY_URLS: {shown} is refused: Apprise does not know it, or a part of it is missing."
        )
    return service
