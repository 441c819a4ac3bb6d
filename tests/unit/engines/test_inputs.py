from __future__ import annotations

import base64
import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from tests.servers.http_thread import serving

from lorapod.engines import inputs
from lorapod.engines.inputs import ReceivedInputs, receive_inputs
from lorapod.errors import InsufficientStorage, InvalidInput, NotFound, TooLarge, UnsafePath, UnsafeUrl
from lorapod.wire.generation import GenerateRequest
from lorapod.wire.validation import parse
from lorapod.workspace import Workspace

WAV = b"RIFF\x24\0\0\0WAVEfmt "
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41"


def picture(form: str = "PNG", mode: str = "RGB", colour: Any = "blue", **more: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), colour).save(buffer, form, **more)
    return buffer.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


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


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def left(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def files_in(folder: Path | None) -> list[Path]:
    assert folder is not None
    return [path for path in left(folder) if path.is_file()]


async def received(
    scratch: Path, workspace: Workspace, *, private: bool = True, **fields: Any
) -> ReceivedInputs:
    request = parse(GenerateRequest, {"prompt": "a fox", **fields})
    return await receive_inputs(request, scratch, workspace=workspace, allow_private=private)


@pytest.mark.parametrize(("path", "suffix"), [("/a.png", ".png"), ("/really-a-jpeg.png", ".jpg")])
async def test_a_url_is_fetched_and_named_after_its_content(
    server: str, path: str, suffix: str, scratch: Path, workspace: Workspace
) -> None:
    found = await received(scratch, workspace, image=f"{server}{path}")

    image = found.single["image"]
    assert (image.suffix, image.read_bytes()) == (suffix, CONTENT[path])
    assert files_in(found.folder) == [image]
    assert found.warnings == []


@pytest.mark.parametrize(("path", "error"), [("/page", InvalidInput), ("/none.png", NotFound)])
async def test_what_is_not_an_image_leaves_nothing(
    server: str, path: str, error: type[Exception], scratch: Path, workspace: Workspace
) -> None:
    with pytest.raises(error):
        await received(scratch, workspace, image=f"{server}{path}")
    assert left(scratch) == []


async def test_a_private_url_is_not_asked(server: str, scratch: Path, workspace: Workspace) -> None:
    with pytest.raises(UnsafeUrl):
        await received(scratch, workspace, private=False, image=f"{server}/a.png")
    assert left(scratch) == []


async def test_too_much_is_refused_before_it_is_written(
    scratch: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.engines.inputs.MAX_BYTES", 10)
    (workspace.root / "large.png").write_bytes(picture())
    for content in ("A" * 100, "large.png"):
        with pytest.raises(TooLarge, match="10 are the most"):
            await received(scratch, workspace, image=content)
    assert left(scratch) == []


async def test_too_much_altogether_is_refused(
    scratch: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorapod.engines.inputs.TOTAL_MAX_BYTES", 100)
    images = [{"name": f"{number}.png", "image": text(picture())} for number in range(2)]
    with pytest.raises(TooLarge, match="altogether; 100 are the most"):
        await received(scratch, workspace, images=images)
    assert left(scratch) == []


async def test_several_files_keep_their_names(scratch: Path, workspace: Workspace, server: str) -> None:
    (workspace.root / "pictures").mkdir()
    (workspace.root / "pictures/fox.png").write_bytes(picture(colour="red"))

    found = await received(
        scratch,
        workspace,
        images=[
            {"name": "one.png", "image": text(picture())},
            {"name": "zwei Füchse.png", "image": f"data:image/jpeg;base64,{text(picture('JPEG'))}"},
            {"name": "three", "image": f"{server}/a.png"},
            {"name": "fox.png", "image": "pictures/fox.png"},
        ],
        audios=[{"name": "speech.wav", "audio": text(WAV)}],
        videos=[{"name": "clip.mp4", "video": text(MP4)}],
        mask=text(picture(mode="L", colour=255)),
    )

    assert {name: path.name for name, path in found.named.items()} == {
        "one.png": "one.png",
        "zwei Füchse.png": "zwei Füchse.jpg",
        "three": "three.png",
        "fox.png": "fox.png",
        "speech.wav": "speech.wav",
        "clip.mp4": "clip.mp4",
    }
    assert found.named["fox.png"].read_bytes() == (workspace.root / "pictures/fox.png").read_bytes()
    assert found.single["mask"].suffix == ".png"
    assert len(files_in(found.folder)) == len(files_in(scratch)) == 7


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"images": [{"name": "a.png", "image": "QUJD"}, {"name": "a.png", "image": "QUJD"}]},
            "two files are named 'a.png'",
        ),
        (
            {"images": [{"name": "a.png", "image": "QUJD"}], "audios": [{"name": "a.png", "audio": "QUJD"}]},
            "two files are named",
        ),
        ({"images": [{"name": "in/a.png", "image": "QUJD"}]}, "images.0.name: 'in/a.png' has a folder in it"),
        ({"images": [{"name": "..\\a.png", "image": "QUJD"}]}, "such as 'a.png'"),
        ({"images": [{"name": "..", "image": "QUJD"}]}, "'..' is not the name of a file"),
        ({"images": [{"name": " ", "image": "QUJD"}]}, "images.0.name: is empty"),
        ({"images": [{"name": "a" * 300, "image": "QUJD"}]}, "images.0.name: is too long"),
        ({"images": [{"name": "a.png", "image": ""}]}, "images.0.image: is empty"),
        ({"images": [{"name": "a.png"}]}, "images.0.image: is required"),
        ({"images": [{"name": f"{number}.png", "image": "QUJD"} for number in range(33)]}, "at most 32"),
        ({"image": ""}, "image: is empty"),
        ({"image": "QUJ"}, "image: the base64 is cut off"),
        ({"image": "data:image/png;base64,"}, "image: the file is empty: 0 bytes"),
        ({"image": text(b"a text")}, "image: the file is not an image"),
        ({"image": text(picture()[:45])}, "image: image.png is cut off or damaged"),
        ({"images": [{"name": "a.gif", "image": text(picture("GIF")[:30])}]}, "the GIF image is cut off"),
        ({"image": text(WAV)}, "image: the file is a sound, not an image"),
        ({"video": text(WAV)}, "video: the file is not a video"),
        ({"audio": text(picture())}, "audio: the file is not a sound"),
        ({"image": "nowhere/fox.png"}, "image: there is no file nowhere/fox.png in the workspace"),
    ],
)
async def test_a_bad_file_is_refused_with_a_sentence_that_names_it(
    fields: dict[str, Any], says: str, scratch: Path, workspace: Workspace
) -> None:
    with pytest.raises((InvalidInput, NotFound)) as refused:
        await received(scratch, workspace, **fields)

    assert says.lower() in refused.value.message.lower()
    assert refused.value.message.endswith(".")
    assert left(scratch) == []


async def test_every_bad_file_is_in_the_details(scratch: Path, workspace: Workspace) -> None:
    bad = [{"name": f"{number}.png", "image": text(b"a text")} for number in range(5)]
    with pytest.raises(InvalidInput, match=r"images\.0 \(0\.png\).* And 2 more\.") as refused:
        await received(scratch, workspace, images=[*bad, {"name": "good.png", "image": text(picture())}])
    assert [detail["field"] for detail in refused.value.details] == [
        f"images.{number}" for number in range(5)
    ]


@pytest.mark.parametrize("path", ["../secret.png", "/etc/secret.png", "link.png"])
async def test_a_path_leads_nowhere_else(path: str, scratch: Path, workspace: Workspace) -> None:
    (workspace.root.parent / "secret.png").write_bytes(picture())
    (workspace.root / "link.png").symlink_to(workspace.root.parent / "secret.png")
    with pytest.raises(UnsafePath):
        await received(scratch, workspace, images=[{"name": "a.png", "image": path}])
    assert left(scratch) == []


async def test_hidden_files_are_not_there(scratch: Path, workspace: Workspace) -> None:
    (workspace.root / ".kept").mkdir()
    (workspace.root / ".kept/a.png").write_bytes(picture())
    with pytest.raises(NotFound):
        await received(scratch, workspace, image=".kept/a.png")


async def test_a_video_under_images_is_passed_on(scratch: Path, workspace: Workspace) -> None:
    """Callers of other handlers send every file so."""
    found = await received(scratch, workspace, images=[{"name": "clip.mp4", "image": text(MP4)}])
    assert found.named["clip.mp4"].read_bytes() == MP4


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
async def test_an_animation_as_the_image_is_told(form: str, scratch: Path, workspace: Workspace) -> None:
    """By name it stays one: ComfyUI loads every frame."""
    frames = [Image.new("RGB", (8, 8), (90 * number, 0, 0)) for number in range(2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    content = text(buffer.getvalue())

    found = await received(scratch, workspace, image=content, images=[{"name": "a.webp", "image": content}])

    assert found.warnings == ["image: only the first of its frames is used."]
    assert found.named["a.webp"].read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("step", ["_write", "_checked"])
async def test_a_full_local_disk_is_not_called_the_workspace(
    step: str, scratch: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inputs, step, run_full)

    with pytest.raises(InsufficientStorage, match="local disk") as raised:
        await received(scratch, workspace, image=text(picture()))
    assert "SCRATCH_PATH" in raised.value.hint
    assert left(scratch) == []
