"""A client that reads from the volume what lies there, and asks a worker for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lorapod.client.blocking_runtime import BlockingRuntime
from lorapod.client.client import Client
from lorapod.client.http import Timeouts
from lorapod.client.retrying import RetryPolicy
from lorapod.client.runtime import finish
from lorapod.client.volume import Volume
from lorapod.client.volume_calls import VolumeCalls


class VolumeClient(Client):
    """A `Client` whose looks and transfers go to the volume over S3; nothing of them wakes a worker."""

    _calls: VolumeCalls

    def __init__(
        self,
        volume: Volume,
        url: str | None = None,
        api_key: str | None = None,
        *,
        front_door: str | None = None,
        retries: RetryPolicy | None = None,
        only: bool = False,
        on_way: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect at the first request.

        Args:
            volume: the volume; the client closes it.
            url: the endpoint for what needs a worker; None: only the volume is asked.
            api_key: the endpoint's key.
            front_door: see `Client`.
            retries: see `Client`.
            only: refuse what needs a worker instead of asking the endpoint.
            on_way: called with a sentence for each way that is taken.

        Raises:
            WrongUrl: a URL is not an HTTP URL, or holds a password.
        """
        self._calls = VolumeCalls(
            BlockingRuntime(Timeouts()),
            volume,
            url,
            api_key,
            front_door=front_door,
            retries=retries,
            only=only,
            on_way=on_way,
        )

    @property
    def volume(self) -> Volume:
        """The volume."""
        return self._calls.volume

    def image(self, path: str) -> dict[str, Any]:
        """Return an image of the volume as `download_file` answers it; a very large one only in part.

        Raises:
            LorapodError: there is no such file, or the volume does not answer.
        """
        return finish(self._calls.image(path))
