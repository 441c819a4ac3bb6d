"""A network volume over S3: which one, with which keys, and what reads it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

from lorapod.client.bucket import Bucket, NoSuchBucket
from lorapod.client.bucket_files import BucketFiles
from lorapod.client.errors import LorapodError, Unauthorized, VolumeNotNamed
from lorapod.client.http import HttpSender, PooledSender, Timeouts
from lorapod.client.project_file import ProjectFile
from lorapod.client.signature import DEFAULT_REGION
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

T = TypeVar("T")

#: The variables that name the volume and its keys. There are no options for them: other users of this machine can read
#: a command line.
VOLUME_VARIABLE: Final = "LORAPOD_VOLUME"
ACCESS_KEY_VARIABLE: Final = "RUNPOD_S3_ACCESS_KEY"
SECRET_KEY_VARIABLE: Final = "RUNPOD_S3_SECRET_KEY"  # noqa: S105 -- its name
DATA_CENTER_VARIABLE: Final = "RUNPOD_S3_DATA_CENTER"
ENDPOINT_URL_VARIABLE: Final = "RUNPOD_S3_ENDPOINT_URL"

#: Questions of an `AsyncVolume` that are answered at the same time.
_QUESTIONS_AT_A_TIME: Final = 8


@dataclass(frozen=True, kw_only=True)
class VolumeAccess:
    """Where a volume is, and its keys."""

    #: Id of the network volume, which is the name of its bucket.
    volume: str
    #: The workspace's folder on the volume; empty: the whole volume.
    folder: str = ""
    endpoint_url: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str], project: ProjectFile) -> VolumeAccess:
        """Return what the variables say, and of the volume and its data centre what `lorapod.toml` says.

        Raises:
            VolumeNotNamed: something is missing or wrong; the message names each variable.
        """
        named = environment.get(VOLUME_VARIABLE) or project.volume or ""
        volume, _, folder = named.strip("/").partition("/")
        data_center = environment.get(DATA_CENTER_VARIABLE) or project.data_center or ""
        url = environment.get(ENDPOINT_URL_VARIABLE) or ""
        given = {
            VOLUME_VARIABLE: volume,
            ACCESS_KEY_VARIABLE: environment.get(ACCESS_KEY_VARIABLE, ""),
            SECRET_KEY_VARIABLE: environment.get(SECRET_KEY_VARIABLE, ""),
            DATA_CENTER_VARIABLE: data_center or url,
        }
        if missing := [name for name, value in given.items() if not value]:
            raise VolumeNotNamed(
                f"The volume cannot be read over S3: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set.",
                hint="Make an S3 API key in RunPod's settings, and set the variables.",
            )
        if not re.fullmatch(r"[A-Za-z0-9-]*", data_center):
            raise VolumeNotNamed(
                f"{DATA_CENTER_VARIABLE} is {data_center!r}, which is not a data centre.",
                hint="Give its id, such as EU-RO-1.",
            )
        return cls(
            volume=volume,
            folder=folder,
            endpoint_url=_checked(url or f"https://s3api-{data_center.lower()}.runpod.io"),
            region=data_center or DEFAULT_REGION,
            access_key=given[ACCESS_KEY_VARIABLE],
            secret_key=given[SECRET_KEY_VARIABLE],
        )


class Volume:
    """One volume over S3, and what reads it. Safe to use from several threads."""

    def __init__(self, access: VolumeAccess, *, http: HttpSender | None = None) -> None:
        """Connect at the first request."""
        self._http = http or PooledSender(Timeouts())
        self.name = access.volume
        self.bucket = Bucket(
            access.volume,
            http=self._http,
            endpoint_url=access.endpoint_url,
            region=access.region,
            access_key=access.access_key,
            secret_key=access.secret_key,
        )
        self.files = BucketFiles(self.bucket, access.folder)
        self.view = VolumeView(self.files, Workspace(root=Path()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.view.close()
        self._http.close()

    def explain(self, error: LorapodError) -> LorapodError:
        """Return the error of a server with what to do about it."""
        match error:
            case Unauthorized():
                return Unauthorized(
                    f"The volume {self.name} does not accept the S3 keys. {error.message}",
                    hint=f"Check {ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE}: they are an S3 API key of RunPod's settings, not its API key.",
                )
            case NoSuchBucket():
                return NoSuchBucket(
                    f"There is no volume {self.name} at {self.bucket.url}.",
                    hint=f"Check {VOLUME_VARIABLE} and {DATA_CENTER_VARIABLE}.",
                )
            case _:
                return error


class AsyncVolume:
    """Asks a `Volume` from an event loop, without blocking it."""

    def __init__(self, volume: Volume) -> None:
        """Ask this volume; closing it closes the volume."""
        self._volume = volume
        self._pool = ThreadPoolExecutor(_QUESTIONS_AT_A_TIME, "volume-questions")

    async def ask(self, question: Callable[[VolumeView], T]) -> T:
        """Return the answer to a question, for example `lambda view: view.process(process_id)`.

        Raises:
            LorapodError: the volume does not answer, or refuses.
            NotFound: there is no such process or file.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, question, self._volume.view)
        except LorapodError as error:
            raise self._volume.explain(error) from error.__cause__

    async def close(self) -> None:
        """Close the volume, once its last question is answered."""
        await asyncio.to_thread(self._pool.shutdown)
        self._volume.close()


def _checked(url: str) -> str:
    """Return the URL of an S3 server.

    Raises:
        VolumeNotNamed: it is not an HTTP URL, or holds a password.
    """
    target = urlsplit(url)
    if target.scheme not in {"http", "https"} or not target.hostname or "@" in target.netloc:
        raise VolumeNotNamed(
            f"{ENDPOINT_URL_VARIABLE} is not a URL of an S3 server such as https://s3api-eu-ro-1.runpod.io."
        )
    return url
