"""A stand-in for Supabase Storage, which cannot be installed; it behaves as supabase/storage 1.11 was measured."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import SecretStr
from tests.servers.http_thread import serving

from lorapod.storage.supabase_access import SupabaseAccess

SERVICE_KEY = "test-service-key-that-must-not-leak"
DEFAULT_LIMIT = 100
MOST_LIMIT = 1500
PLAIN_BYTES = 50 * 1024 * 1024
CHUNK_BYTES = 6 * 1024 * 1024
API = "/storage/v1"


#: The characters that the real server takes in a name.
NAME = re.compile(r"[\w/!\-.*'() &$@=;:+,?]*", re.ASCII)
MOST_NAME_BYTES = 1024


class Refusal(Exception):
    """Answered as HTTP 400 with the real code in the body; by the resumable endpoint as plain text with its status."""

    def __init__(self, status: int, error: str, message: str = "no") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"statusCode": str(status), "error": error, "message": message}

    def response(self, path: str) -> web.Response:
        if path.startswith(f"{API}/upload/resumable"):
            return web.Response(status=self.status, text=self.body["message"])
        return web.json_response(self.body, status=400)


@dataclass
class Held:
    content: bytes
    content_type: str
    metadata: dict[str, str]
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


@dataclass
class Upload:
    bucket: str
    name: str
    size: int
    content_type: str
    metadata: dict[str, str]
    content: bytearray = field(default_factory=bytearray)


class SupabaseStandIn:
    """A server whose objects survive its restarts."""

    def __init__(self) -> None:
        self.port = 0
        self.buckets: dict[str, dict[str, Held]] = {}
        self.uploads: dict[str, Upload] = {}
        self.requests: list[tuple[str, str]] = []
        #: The answers to the next requests, one each.
        self.faults: list[web.HTTPException] = []
        #: The chunks of resumable uploads to break the connection after, counted from 1.
        self.break_chunks: set[int] = set()
        #: Break each download after so many bytes, so often.
        self.break_downloads = 0
        self.break_after = 0
        #: Called before the next downloads are answered, one each.
        self.before_downloads: list[Callable[[], None]] = []
        #: A download is answered once so many have come, so they must come at the same time.
        self.downloads_together = 0
        self.downloads_now = 0
        self.most_downloads = 0
        self._together: asyncio.Event | None = None
        self.chunks = 0
        #: So many uploads take their last byte, and are killed before the object is made.
        self.lost_ends = 0
        #: Whether an object that is there may be replaced.
        self.may_replace = True
        self.file_size_limit: int | None = None
        self.refused_types: set[str] = set()
        self._signing = secrets.token_bytes(16)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def access(self, *, key: str = SERVICE_KEY, port: int | None = None) -> SupabaseAccess:
        url = f"http://127.0.0.1:{port}" if port else self.url
        return SupabaseAccess(url=url, service_key=SecretStr(key))

    @contextmanager
    def running(self) -> Iterator[None]:
        with serving(self.app, port=self.port) as self.port:
            yield

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._middleware])
        route = app.router.add_route
        route("GET", f"{API}/bucket/{{bucket}}", self._describe_bucket)
        route("POST", f"{API}/object/list/{{bucket}}", self._list)
        route("GET", f"{API}/object/info/{{bucket}}/{{name:.+}}", self._info)
        route("GET", f"{API}/object/authenticated/{{bucket}}/{{name:.+}}", self._download)
        route("POST", f"{API}/object/sign/{{bucket}}/{{name:.+}}", self._sign)
        route("GET", f"{API}/object/sign/{{bucket}}/{{name:.+}}", self._download_signed)
        route("POST", f"{API}/object/upload/sign/{{bucket}}/{{name:.+}}", self._sign_upload)
        route("PUT", f"{API}/object/upload/sign/{{bucket}}/{{name:.+}}", self._upload_signed)
        route("POST", f"{API}/object/{{bucket}}/{{name:.+}}", self._upload)
        route("DELETE", f"{API}/object/{{bucket}}", self._remove)
        route("POST", f"{API}/upload/resumable", self._resumable_begin)
        route("HEAD", f"{API}/upload/resumable/{{id}}", self._resumable_head)
        route("PATCH", f"{API}/upload/resumable/{{id}}", self._resumable_patch)
        route("DELETE", f"{API}/upload/resumable/{{id}}", self._resumable_end)
        return app

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.faults:
            raise self.faults.pop(0)
        try:
            if "/sign/" not in request.path or request.method == "POST":
                self._check_bearer(request)
            return await handler(request)
        except Refusal as refusal:
            return refusal.response(request.path)

    def _check_bearer(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {SERVICE_KEY}":
            raise Refusal(403, "Unauthorized", "invalid signature")

    def _bucket(self, name: str) -> dict[str, Held]:
        if name not in self.buckets:
            raise Refusal(404, "Bucket not found", "Bucket not found")
        return self.buckets[name]

    def _held(self, request: web.Request) -> Held:
        held = self._bucket(request.match_info["bucket"]).get(request.match_info["name"])
        if held is None:
            raise Refusal(404, "not_found", "Object not found")
        return held

    async def _describe_bucket(self, request: web.Request) -> web.Response:
        name = request.match_info["bucket"]
        self._bucket(name)
        moment = datetime.now(UTC).isoformat()
        return web.json_response(
            {
                "id": name,
                "name": name,
                "owner": "",
                "public": False,
                "created_at": moment,
                "updated_at": moment,
                "file_size_limit": self.file_size_limit,
                "allowed_mime_types": None,
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        body = await request.json()
        folder = body["prefix"].strip("/")
        below = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        # A bucket that does not exist looks empty.
        for name, held in self.buckets.get(request.match_info["bucket"], {}).items():
            if not name.startswith(below):
                continue
            head, slash, _ = name.removeprefix(below).partition("/")
            if slash:
                entries[head] = {"name": head, "id": None, "updated_at": None, "metadata": None}
            else:
                moment = held.modified_at.isoformat().replace("+00:00", "Z")
                details = {"eTag": held.etag, "size": len(held.content), "lastModified": moment}
                entries[head] = {
                    "name": head,
                    "id": secrets.token_hex(8),
                    "updated_at": moment,
                    "metadata": details,
                }
        limit, offset = min(body.get("limit", DEFAULT_LIMIT), MOST_LIMIT), body.get("offset", 0)
        return web.json_response([entries[name] for name in sorted(entries)][offset : offset + limit])

    async def _info(self, request: web.Request) -> web.Response:
        held = self._held(request)
        moment = held.modified_at.isoformat().replace("+00:00", "Z")
        return web.json_response(
            {
                "name": request.match_info["name"],
                "size": len(held.content),
                "content_type": held.content_type,
                "etag": held.etag,
                "metadata": held.metadata,
                "last_modified": moment,
                "created_at": moment,
            }
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self.downloads_now += 1
        self.most_downloads = max(self.most_downloads, self.downloads_now)
        try:
            if self.most_downloads < self.downloads_together:
                self._together = self._together or asyncio.Event()
                await self._together.wait()
            elif self._together is not None:
                self._together.set()
            return await self._send(request)
        finally:
            self.downloads_now -= 1

    async def _send(self, request: web.Request) -> web.StreamResponse:
        if self.before_downloads:
            self.before_downloads.pop(0)()
        held = self._held(request)
        start = request.http_range.start or 0
        if start and start >= len(held.content):
            return web.Response(status=416)
        content = held.content[start:]
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": held.etag})
        response.content_length = len(content)
        await response.prepare(request)
        if self.break_downloads:
            self.break_downloads -= 1
            await response.write(content[: self.break_after])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(content)
        return response

    async def _sign(self, request: web.Request) -> web.Response:
        self._held(request)
        expires = time.time() + int((await request.json())["expiresIn"])
        name = f"{request.match_info['bucket']}/{request.rel_url.raw_path.split('/sign/', 1)[1].split('/', 1)[1]}"
        return web.json_response({"signedURL": f"/object/sign/{name}?token={self._token(request, expires)}"})

    async def _download_signed(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        return await self._download(request)

    async def _sign_upload(self, request: web.Request) -> web.Response:
        self._bucket(request.match_info["bucket"])
        token = self._token(request, time.time() + 7200)
        return web.json_response({"url": f"{request.rel_url.raw_path.removeprefix(API)}?token={token}"})

    async def _upload_signed(self, request: web.Request) -> web.Response:
        self._check_token(request)
        content = await request.read()
        self._bucket(request.match_info["bucket"])[request.match_info["name"]] = Held(
            content, request.content_type, {}
        )
        return web.json_response({"Key": request.match_info["name"]})

    def _token(self, request: web.Request, expires: float) -> str:
        text = f"{request.match_info['bucket']}/{request.match_info['name']}:{expires}"
        return f"{expires}.{hashlib.sha256(self._signing + text.encode()).hexdigest()}"

    def _check_token(self, request: web.Request) -> None:
        token = request.query.get("token", "0.0")
        expires = float(token.rpartition(".")[0])
        if token != self._token(request, expires) or expires < time.time():
            raise Refusal(400, "InvalidJWT", '"exp" claim timestamp check failed')

    async def _upload(self, request: web.Request) -> web.Response:
        bucket, name = self._bucket(request.match_info["bucket"]), request.match_info["name"]
        form = await request.post()
        sent = form["file"]
        assert isinstance(sent, web.FileField)
        content = sent.file.read()
        if len(content) > PLAIN_BYTES:
            raise Refusal(413, "Payload too large", "The object exceeded the maximum allowed size")
        self._check_upload(request, bucket, name, len(content), sent.content_type)
        bucket[name] = Held(content, sent.content_type, json.loads(str(form.get("metadata", "{}"))))
        return web.json_response(
            {"Key": f"{request.match_info['bucket']}/{name}", "Id": secrets.token_hex(8)}
        )

    def _check_upload(
        self, request: web.Request, bucket: dict[str, Held], name: str, size: int, content_type: str
    ) -> None:
        if not NAME.fullmatch(name) or len(name) > MOST_NAME_BYTES:
            raise Refusal(400, "InvalidKey", f"Invalid key: {name}")
        if self.file_size_limit is not None and size > self.file_size_limit:
            raise Refusal(413, "Payload too large", "The object exceeded the maximum allowed size")
        if content_type in self.refused_types:
            raise Refusal(415, "invalid_mime_type", f"mime type {content_type} is not supported")
        if name in bucket and not (self.may_replace and request.headers.get("x-upsert") == "true"):
            raise Refusal(409, "Duplicate", "The resource already exists")

    async def _remove(self, request: web.Request) -> web.Response:
        bucket = self._bucket(request.match_info["bucket"])
        names = (await request.json())["prefixes"]
        return web.json_response([{"name": name} for name in names if bucket.pop(name, None) is not None])

    async def _resumable_begin(self, request: web.Request) -> web.Response:
        fields = {}
        for item in request.headers["Upload-Metadata"].split(","):
            name, _, value = item.partition(" ")
            fields[name] = base64.b64decode(value).decode()
        self._check_upload(
            request,
            self._bucket(fields["bucketName"]),
            fields["objectName"],
            int(request.headers["Upload-Length"]),
            fields["contentType"],
        )
        identity = secrets.token_hex(8)
        self.uploads[identity] = Upload(
            bucket=fields["bucketName"],
            name=fields["objectName"],
            size=int(request.headers["Upload-Length"]),
            content_type=fields["contentType"],
            metadata=json.loads(fields.get("metadata", "{}")),
        )
        # The real server answers its internal URL, which callers cannot always reach.
        location = f"http://storage.invalid{API}/upload/resumable/{identity}"
        return web.Response(status=201, headers={"Location": location, "Tus-Resumable": "1.0.0"})

    def _upload_of(self, request: web.Request) -> Upload:
        upload = self.uploads.get(request.match_info["id"])
        if upload is None:
            raise web.HTTPNotFound
        return upload

    async def _resumable_head(self, request: web.Request) -> web.Response:
        return web.Response(headers={"Upload-Offset": str(len(self._upload_of(request).content))})

    async def _resumable_end(self, request: web.Request) -> web.Response:
        self._upload_of(request)
        del self.uploads[request.match_info["id"]]
        return web.Response(status=204)

    async def _resumable_patch(self, request: web.Request) -> web.Response:
        upload = self._upload_of(request)
        bucket = self._bucket(upload.bucket)
        self._check_upload(request, bucket, upload.name, upload.size, upload.content_type)
        if int(request.headers["Upload-Offset"]) != len(upload.content):
            return web.Response(status=409, text="Upload-Offset conflict")
        self.chunks += 1
        data = await request.read()
        assert len(data) == min(CHUNK_BYTES, upload.size - len(upload.content)), "a chunk of the wrong size"
        upload.content += data
        if len(upload.content) == upload.size and self.lost_ends:
            self.lost_ends -= 1
            assert request.transport is not None
            request.transport.close()
        elif len(upload.content) == upload.size:
            held = Held(bytes(upload.content), upload.content_type, upload.metadata)
            bucket[upload.name] = held
        if self.chunks in self.break_chunks:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=204, headers={"Upload-Offset": str(len(upload.content))})


@contextmanager
def running_supabase() -> Iterator[SupabaseStandIn]:
    """Start a server with its objects in memory."""
    server = SupabaseStandIn()
    with server.running():
        yield server
