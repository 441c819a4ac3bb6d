"""Downloads of models by SwarmUI into its own folders; a `lorapod.models.port.Downloads`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from lorapod.engines.port import GenerationStopped
from lorapod.engines.swarmui.addresses import ModelAddresses
from lorapod.engines.swarmui.answers import told
from lorapod.engines.swarmui.connection import SocketDropped, SwarmSocket, connected
from lorapod.engines.swarmui.model_cards import subtype_of
from lorapod.engines.swarmui.session import SwarmCaller, SwarmSession
from lorapod.engines.swarmui.stopping import stoppable
from lorapod.errors import Unsupported, UpstreamError, WorkerError
from lorapod.models.port import DownloadStopped, ReportDownload, WantedModel
from lorapod.safety.urls import shown_url
from lorapod.workspace import safe_name

#: Longest that one download may take.
DOWNLOAD_S = 6 * 3600.0


class SwarmDownloads:
    """Has SwarmUI fetch models; each call blocks until it has, or has given up."""

    def __init__(self, address: str, session: SwarmSession, addresses: ModelAddresses) -> None:
        """Ask the server at `address` as `session`; `addresses` finds the URLs that it downloads."""
        self._address = address
        self._session = session
        self._addresses = addresses

    def check(self, wanted: WantedModel) -> str:
        """Return the name, suffix included, that the model will have at SwarmUI.

        Raises:
            InvalidInput: SwarmUI does not accept the name or the source.
            Unsupported: it keeps no models of that kind.
        """
        if subtype_of(wanted.kind) is None:
            raise Unsupported(f"SwarmUI keeps no models of the kind {wanted.kind}.")
        return f"{_plain_name(wanted.name)}.{_suffix(self._addresses.plain(wanted.source))}"

    def download(self, wanted: WantedModel, *, stopped: Callable[[], bool], report: ReportDownload) -> str:
        """Fetch it; the name that it has at SwarmUI then.

        Raises:
            DownloadStopped: `stopped` said so; nothing is left of it.
            Conflict: there is one of that name.
            WorkerError: it cannot be fetched.
        """
        try:
            return asyncio.run(self._download(wanted, stopped, report))
        except GenerationStopped:
            raise DownloadStopped from None

    async def _download(
        self, wanted: WantedModel, stopped: Callable[[], bool], report: ReportDownload
    ) -> str:
        name = self.check(wanted)
        conversations: list[SwarmSocket] = []

        async def cancel() -> None:
            for talk in conversations:
                await talk.send({"signal": "cancel"})

        async with connected(self._address) as connection:
            await stoppable(
                self._follow(SwarmCaller(connection, self._session), wanted, name, conversations, report),
                stopped=stopped,
                interrupt=cancel,
                within_s=DOWNLOAD_S,
                what="The download",
            )
        return name

    async def _follow(
        self,
        caller: SwarmCaller,
        wanted: WantedModel,
        name: str,
        conversations: list[SwarmSocket],
        report: ReportDownload,
    ) -> None:
        address = await self._addresses.final(wanted.source)
        suffix = name.rpartition(".")[2]
        fields: dict[str, Any] = {
            # SwarmUI takes the suffix from the end of the URL, and ignores what follows a #.
            "url": address.partition("#")[0] + (f"#.{suffix}" if suffix == "gguf" else ""),
            "type": subtype_of(wanted.kind),
            "name": name.rpartition(".")[0],
        }
        if wanted.metadata:
            fields["metadata"] = json.dumps(dict(wanted.metadata))
        try:
            async with caller.converse("DoModelDownloadWS", fields) as talk:
                conversations.append(talk)
                async for message in talk.messages():
                    if message.get("success") is True:
                        return
                    report(_number(message.get("current_percent")), _number(message.get("per_second")))
        except SocketDropped as error:
            raise SocketDropped(
                "The connection to SwarmUI broke while it fetched a model; it may still fetch it.",
                hint="See in `list_models` with `engine: swarmui` whether it came; else ask again.",
            ) from error
        except WorkerError as error:
            raise _without(address, error) from error
        raise UpstreamError("SwarmUI ended the download without saying why.")


def _without(address: str, error: WorkerError) -> WorkerError:
    """Return the error without the URL that SwarmUI repeats: it may contain a signature."""
    if address not in error.message:
        return error
    return told(error.message.removeprefix("SwarmUI: ").replace(address, shown_url(address)))


def _plain_name(name: str) -> str:
    """Return a name that SwarmUI keeps unchanged; it drops dots and turns spaces into underscores.

    Raises:
        InvalidInput: it is not a plain name.
    """
    bare = name.removesuffix(".safetensors").removesuffix(".gguf")
    parts = [safe_name(part, field="name") for part in bare.split("/")]
    return "/".join(parts).replace(".", "_").replace(" ", "_")


def _suffix(address: str) -> str:
    return "gguf" if address.partition("#")[0].partition("?")[0].endswith(".gguf") else "safetensors"


def _number(value: Any) -> float | None:
    """Return one of SwarmUI's numbers, or None if it is not finite: SwarmUI divides by sizes that may be unknown."""
    return float(value) if isinstance(value, int | float) and 0 <= value < float("inf") else None
