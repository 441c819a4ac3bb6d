"""The part of ComfyUI's HTTP API that a job needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr
from yarl import URL

from lorapod.engines.comfyui.graph import Graph
from lorapod.engines.comfyui.named_files import InputSpec, specs_in
from lorapod.engines.comfyui.outputs import OutputFile
from lorapod.engines.comfyui.problems import AcceptedPrompt, refused, unclear_classes
from lorapod.errors import InternalError, TooLarge, UpstreamError

#: Longest wait for a connection, and for an answer: while it loads a model ComfyUI may not answer for long.
CONNECT_S = 5.0
ANSWER_S = 60.0
#: Longest wait for a server that is to say goodbye on its socket.
CLOSE_S = 1.0
#: Largest message of its socket: previews, and errors that carry every input as text.
MESSAGE_BYTES_MAX = 64_000_000
_CHUNK_BYTES = 1 << 20
#: Longest name of an upload; a multipart form writes each byte beyond ASCII as three.
_NAME_BYTES_MAX = 200


class ServerAway(UpstreamError):
    """ComfyUI cannot be reached."""


class ServerSlow(ServerAway):
    """ComfyUI does not answer, but is there."""


class OutputGone(UpstreamError):
    """A file that ComfyUI names as a result does not exist any more."""


class ComfyClient:
    """Talks to one server; made and used within one event loop."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        """Use `session`, which `connected` opens."""
        self._session = session
        self._url = URL(url)

    async def submit(
        self,
        graph: Graph,
        *,
        prompt_id: str,
        client_id: str,
        process_id: str,
        editor: Mapping[str, Any],
        key: SecretStr | None,
    ) -> AcceptedPrompt:
        """Queue a workflow under an id of our own.

        Args:
            graph: the workflow.
            prompt_id: a UUID in canonical form (ComfyUI since 0.25.0 refuses any other); names the prompt in later calls.
            client_id: the client whose socket receives the events.
            process_id: kept in the prompt's `extra_data`, so that a person sees which process it belongs to.
            editor: the workflow in the editor's form, for nodes that want it and for the metadata of images.
            key: for nodes of ComfyUI's paid API.

        Raises:
            InvalidInput: ComfyUI refuses it; every node's problem is in `details`.
            ServerAway: it cannot be reached.
        """
        extra: dict[str, Any] = {"process_id": process_id, "extra_pnginfo": {"workflow": editor}}
        if key is not None:
            extra["api_key_comfy_org"] = key.get_secret_value()
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra}
        async with self._request("POST", "prompt", json=body) as response:
            if response.status == HTTPStatus.OK:
                answer = await response.json()
                return AcceptedPrompt.of(answer, graph, await self._classes(unclear_classes(answer, graph)))
            if response.status == HTTPStatus.BAD_REQUEST:
                answer = await response.json(content_type=None)
                raise refused(answer, graph, await self._classes(unclear_classes(answer, graph)))
            if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise TooLarge("ComfyUI takes no workflow of that size: 100 MB at most.")
            raise _unexpected("POST", "prompt", response)

    async def history(self, prompt_id: str) -> Mapping[str, Any] | None:
        """Return the history entry of a prompt; None while it waits or runs, or if ComfyUI does not know it."""
        answer = await self._json("GET", f"history/{prompt_id}")
        entry = answer.get(prompt_id)
        return entry if isinstance(entry, Mapping) else None

    async def is_queued(self, prompt_id: str) -> bool:
        """Return whether a prompt waits or runs."""
        answer = await self._json("GET", "queue")
        items = [*answer.get("queue_running", ()), *answer.get("queue_pending", ())]
        return any(item[1] == prompt_id for item in items)

    async def cancel(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, and interrupt it if it runs already; leave other prompts alone."""
        await self._post("queue", {"delete": [prompt_id]})
        await self._post("interrupt", {"prompt_id": prompt_id})

    async def forget(self, prompt_id: str) -> None:
        """Remove a prompt that ended from the history."""
        await self._post("history", {"delete": [prompt_id]})

    async def free(self) -> None:
        """Ask it to unload every model and forget cached results; it does so when it is idle."""
        await self._post("free", {"unload_models": True, "free_memory": True})

    async def listed(self, folder: str) -> Sequence[str]:
        """Return the models in one of its folders, such as `loras`, as its loaders name them."""
        answer = await self._json("GET", f"models/{folder}")
        return [name for name in answer if isinstance(name, str)]

    async def inputs_of(self, class_type: str) -> Mapping[str, InputSpec] | None:
        """Return the inputs of a class of nodes by their names; None if ComfyUI does not have the class."""
        return specs_in(await self._json("GET", f"object_info/{quote(class_type, safe='')}"), class_type)

    async def _classes(self, class_types: Iterable[str]) -> dict[str, Mapping[str, InputSpec] | None]:
        return {class_type: await self.inputs_of(class_type) for class_type in class_types}

    async def upload(self, path: Path, *, subfolder: str) -> str:
        """Put a file into a subfolder of its inputs; return the name for `LoadImage`.

        Raises:
            TooLarge: ComfyUI takes no file of that size.
            ServerAway: it cannot be reached.
        """
        with path.open("rb") as file:
            form = aiohttp.FormData({"subfolder": subfolder, "type": "input", "overwrite": "true"})
            form.add_field("image", file, filename=_upload_name(path))
            async with self._request("POST", "upload/image", data=form) as response:
                if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    raise TooLarge(f"ComfyUI takes no file of the size of {path.name}: 100 MB at most.")
                if response.status != HTTPStatus.OK:
                    raise _unexpected("POST", "upload/image", response)
                answer = await response.json()
        return "/".join(part for part in (answer["subfolder"], answer["name"]) if part)

    async def download(self, output: OutputFile) -> AsyncIterator[bytes]:
        """Yield the bytes of a result as they arrive.

        Raises:
            OutputGone: the file is not there.
            ServerAway: the connection broke, perhaps in the middle.
        """
        query = {"filename": output.filename, "subfolder": output.subfolder, "type": output.type}
        async with self._request("GET", "view", params=query) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                raise OutputGone(f"ComfyUI names {output.filename} as a result, but the file is gone.")
            if response.status != HTTPStatus.OK:
                raise _unexpected("GET", "view", response)
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk

    @asynccontextmanager
    async def socket(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a socket that receives the events of this client's prompts."""
        address = (self._url / "ws").with_scheme({"https": "wss"}.get(self._url.scheme, "ws"))
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await self._session.ws_connect(
                    address.with_query(clientId=client_id),
                    max_msg_size=MESSAGE_BYTES_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(error) from error
        async with socket:
            yield socket

    async def _json(self, method: str, path: str) -> Any:
        async with self._request(method, path) as response:
            if response.status != HTTPStatus.OK:
                raise _unexpected(method, path, response)
            return await response.json()

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        async with self._request("POST", path, json=body) as response:
            if response.status != HTTPStatus.OK:
                raise _unexpected("POST", path, response)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method, self._url.joinpath(path, encoded=True), **more
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from error


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ComfyClient]:
    """Yield a client of the server at `url`; ask nothing yet."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
    # Name lookups run in threads; most of the time the host is an IP address.
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        yield ComfyClient(session, url)


def _upload_name(path: Path) -> str:
    """Return the name of a file in ComfyUI: its own if ComfyUI can store it."""
    return path.name if len(quote(path.name)) <= _NAME_BYTES_MAX else f"input{path.suffix[:20]}"


def _away(error: BaseException) -> ServerAway:
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return ServerSlow()
    return ServerAway(f"ComfyUI cannot be reached: {type(error).__name__}.")


def _unexpected(method: str, path: str, response: aiohttp.ClientResponse) -> UpstreamError | InternalError:
    sentence = f"ComfyUI answered {response.status} to {method} /{path}."
    return (
        UpstreamError(sentence)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else InternalError(sentence)
    )
