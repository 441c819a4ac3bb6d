from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image
from tests.servers.http_thread import serving

from lorapod.engines.resolving import fetch_input_image
from lorapod.errors import InvalidInput, NotFound, TooLarge, UnsafeUrl


def picture(form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "blue").save(buffer, form)
    return buffer.getvalue()


CONTENT = {
    "/a.png": picture(),
    "/really-a-jpeg.png": picture("JPEG"),
    "/page": b"<html>",
    "/gif": picture("GIF"),
}


async def _answer(request: web.Request) -> web.Response:
    content = CONTENT.get(request.path)
    return web.Response(status=404) if content is None else web.Response(body=content)


def _pages() -> web.Application:
    pages = web.Application()
    pages.router.add_get("/{name}", _answer)
    return pages


@pytest.fixture
def server() -> Iterator[str]:
    with serving(_pages) as port:
        yield f"http://127.0.0.1:{port}"


def left(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


@pytest.mark.parametrize(("path", "suffix"), [("/a.png", ".png"), ("/really-a-jpeg.png", ".jpg")])
async def test_an_address_is_fetched_and_named_after_what_it_holds(
    server: str, path: str, suffix: str, tmp_path: Path
) -> None:
    found = await fetch_input_image(f"{server}{path}", tmp_path, allow_private=True)

    assert (found.suffix, found.read_bytes()) == (suffix, CONTENT[path])
    assert left(found.parent) == [found]


@pytest.mark.parametrize(
    ("path", "error"), [("/page", InvalidInput), ("/gif", InvalidInput), ("/none.png", NotFound)]
)
async def test_what_is_no_picture_leaves_nothing(
    server: str, path: str, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        await fetch_input_image(f"{server}{path}", tmp_path, allow_private=True)
    assert left(tmp_path) == []


async def test_a_private_address_is_not_asked(server: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeUrl):
        await fetch_input_image(f"{server}/a.png", tmp_path, allow_private=False)
    assert left(tmp_path) == []


async def test_too_much_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.engines.resolving.MAX_BYTES", 10)
    with pytest.raises(TooLarge):
        await fetch_input_image("A" * 100, tmp_path, allow_private=False)
    assert left(tmp_path) == []
