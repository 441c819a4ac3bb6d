"""A stand-in for the HuggingFace Hub, for the calls that huggingface_hub makes without Xet."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml
from aiohttp import web
from pydantic import SecretStr
from tests.servers.http_thread import serving

from lorapod.storage.hub_access import HubAccess

TOKEN = "hf_test-token-that-must-not-leak"
LARGE_ENDINGS = (".safetensors", ".bin", ".png", ".zip")


@dataclass
class Repo:
    private: bool
    #: Of each commit, oldest first: path to content.
    commits: list[dict[str, bytes]] = field(
        default_factory=lambda: [{".gitattributes": b"*.bin filter=lfs\n"}]
    )
    messages: list[str] = field(default_factory=list)
    #: Only for accounts that accepted its terms.
    gated: bool = False

    def files(self, revision: str) -> dict[str, bytes]:
        if revision == "main":
            return self.commits[-1]
        for number, files in enumerate(self.commits):
            if revision == self.sha(number):
                return files
        raise web.HTTPNotFound(headers={"X-Error-Code": "RevisionNotFound"})

    def sha(self, number: int = -1) -> str:
        return hashlib.sha1(str(number % len(self.commits)).encode(), usedforsecurity=False).hexdigest()


class HubStandIn:
    """A Hub with its repositories in memory."""

    def __init__(self) -> None:
        self.port = 0
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[web.HTTPException] = []
        self.break_downloads = 0
        self.break_after = 0
        self.ranges: list[str | None] = []
        #: Of each download, whether it came with a token.
        self.authorized: list[bool] = []
        self.requests: list[tuple[str, str]] = []
        #: The token may only read.
        self.read_only = False
        #: The token's owner has no right in this namespace.
        self.stranger = False
        #: Private repositories have no room left.
        self.full = False
        #: Old names to new ones: the Hub redirects what is asked of the old one (307), to a path.
        self.renamed: dict[str, str] = {}
        #: Commits are refused because a file is too large (413).
        self.too_large = False
        #: Answers that told how a file has to be sent.
        self.preuploads = 0
        #: The token's owner has accepted the terms of gated repositories.
        self.accepted = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def access(self, token: str | None = TOKEN) -> HubAccess:
        return HubAccess(endpoint=self.url, token=SecretStr(token) if token else None)

    @contextmanager
    def running(self) -> Iterator[None]:
        with serving(self.app, port=self.port) as self.port:
            yield

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._middleware])
        route = app.router.add_route
        repo = "{kind:models|datasets}/{owner}/{name}"
        route("GET", "/api/whoami-v2", self._whoami)
        route("POST", "/api/repos/create", self._create)
        route("POST", "/api/validate-yaml", self._validate_yaml)
        route("POST", f"/api/{repo}/preupload/{{revision}}", self._preupload)
        route("POST", f"/api/{repo}/commit/{{revision}}", self._commit)
        route("POST", f"/api/{repo}/paths-info/{{revision}}", self._paths_info)
        route("GET", f"/api/{repo}", self._info)
        route("GET", f"/api/{repo}/auth-check", self._auth_check)
        route("GET", f"/api/{repo}/revision/{{revision}}", self._info)
        route("GET", f"/api/{repo}/tree/{{revision}}", self._tree)
        for prefix in ("", "/datasets"):
            route("POST", prefix + "/{owner}/{name}.git/info/lfs/objects/batch", self._batch)
            for method in ("GET", "HEAD"):
                route(method, prefix + "/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        route("PUT", "/blobs/{oid}", self._put_blob)
        return app

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.faults:
            raise self.faults.pop(0)
        for old, new in self.renamed.items():
            if f"/{old}/" in f"{request.path}/" or f"/{old}.git/" in request.path:
                raise web.HTTPTemporaryRedirect(request.path_qs.replace(old, new, 1))
        bearer = request.headers.get("Authorization")
        if bearer not in {None, f"Bearer {TOKEN}"} or (
            request.path == "/api/repos/create" and bearer is None
        ):
            raise web.HTTPUnauthorized(text="Invalid username or password.")
        return await handler(request)

    async def _whoami(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            raise web.HTTPUnauthorized(text="Invalid username or password.")
        return web.json_response({"type": "user", "name": "tester", "orgs": []})

    def _repo(self, request: web.Request) -> Repo:
        repo = self.repos.get(f"{request.match_info['owner']}/{request.match_info['name']}")
        if repo is None or (repo.private and "Authorization" not in request.headers):
            raise web.HTTPUnauthorized(headers={"X-Error-Code": "RepoNotFound"})
        return repo

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._check_rights()
        repo_id = f"{body['organization']}/{body['name']}"
        if repo_id in self.repos:
            return web.json_response({"error": "exists", "url": f"{self.url}/{repo_id}"}, status=409)
        self.repos[repo_id] = Repo(private=body.get("visibility") == "private" or bool(body.get("private")))
        return web.json_response({"url": f"{self.url}/{repo_id}"})

    async def _validate_yaml(self, request: web.Request) -> web.Response:
        """Check the metadata of a README.md before its commit."""
        head = (await request.json())["content"].split("---\n")
        try:
            fields = yaml.safe_load(head[1]) if len(head) > 2 and not head[0] else {}
        except yaml.YAMLError as error:
            fields = str(error)
        if not isinstance(fields, dict):
            return web.json_response({"errors": [{"message": "no mapping"}], "warnings": []}, status=400)
        return web.json_response({"errors": [], "warnings": []})

    def _check_rights(self) -> None:
        if self.read_only or self.stranger:
            message = "you must use a write token" if self.read_only else "you don't have the rights"
            raise web.HTTPForbidden(text=json.dumps({"error": message}), headers={"X-Error-Message": message})

    def _check_room(self) -> None:
        if self.full:
            message = "Private repository storage limit reached, please upgrade your plan"
            raise web.HTTPForbidden(text=json.dumps({"error": message}), headers={"X-Error-Message": message})

    async def _preupload(self, request: web.Request) -> web.Response:
        self._repo(request)
        self._check_rights()
        self.preuploads += 1
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE_ENDINGS) else "regular",
                "shouldIgnore": False,
            }
            for file in (await request.json())["files"]
        ]
        return web.json_response({"files": files})

    async def _batch(self, request: web.Request) -> web.Response:
        self._repo(request)
        self._check_rights()
        self._check_room()
        if self.too_large:
            raise web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2)
        objects: list[dict[str, Any]] = []
        for wanted in (await request.json())["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.blobs:
                answer["actions"] = {"upload": {"href": f"{self.url}/blobs/{wanted['oid']}"}}
            objects.append(answer)
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _put_blob(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers, "the token went to the blob server"
        content = await request.read()
        oid = hashlib.sha256(content).hexdigest()
        if oid != request.match_info["oid"]:
            raise web.HTTPBadRequest
        self.blobs[oid] = content
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        self._check_rights()
        self._check_room()
        files = dict(repo.files(request.match_info["revision"]))
        for line in (await request.text()).splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "header":
                    repo.messages.append(value["summary"])
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.blobs[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        repo.commits.append(files)
        address = f"{self.url}/{request.match_info['owner']}/{request.match_info['name']}/commit/{repo.sha()}"
        return web.json_response({"commitUrl": address, "commitOid": repo.sha()})

    @staticmethod
    def _described(path: str, content: bytes) -> dict[str, Any]:
        blob_id = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob_id}
        if path.endswith(LARGE_ENDINGS) and content:
            oid = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
        return found

    async def _paths_info(self, request: web.Request) -> web.Response:
        files = self._repo(request).files(request.match_info["revision"])
        body = await request.json() if request.content_type == "application/json" else await request.post()
        paths = body["paths"] if isinstance(body, dict) else body.getall("paths")
        return web.json_response([self._described(path, files[path]) for path in paths if path in files])

    async def _info(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        repo_id = f"{request.match_info['owner']}/{request.match_info['name']}"
        return web.json_response({"id": repo_id, "sha": repo.sha(), "private": repo.private, "tags": []})

    async def _auth_check(self, request: web.Request) -> web.Response:
        known = "Authorization" in request.headers
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        repo = self.repos.get(name)
        if repo is None or (repo.private and not known):
            missing = web.HTTPNotFound if known else web.HTTPUnauthorized
            raise missing(headers={"X-Error-Code": "RepoNotFound"})
        if repo.gated and not (known and self.accepted):
            refused = web.HTTPForbidden if known else web.HTTPUnauthorized
            raise refused(headers={"X-Error-Code": "GatedRepo"})
        return web.Response(text="OK")

    async def _tree(self, request: web.Request) -> web.Response:
        files = self._repo(request).files(request.match_info["revision"])
        return web.json_response([self._described(path, content) for path, content in files.items()])

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        files = self._repo(request).files(request.match_info["revision"])
        content = files.get(request.match_info["path"])
        if content is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        is_download = request.method == "GET"
        if is_download:
            self.ranges.append(request.headers.get("Range"))
            self.authorized.append("Authorization" in request.headers)
        start = request.http_range.start or 0
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(content) - start
        response.headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        revision = request.match_info["revision"]
        response.headers["X-Repo-Commit"] = self._repo(request).sha() if revision == "main" else revision
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        if not is_download:
            return response
        if self.break_downloads:
            self.break_downloads -= 1
            await response.write(content[start : start + self.break_after])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(content[start:])
        return response


@contextmanager
def running_hub() -> Iterator[HubStandIn]:
    """Start a Hub for a block."""
    server = HubStandIn()
    with server.running():
        yield server
