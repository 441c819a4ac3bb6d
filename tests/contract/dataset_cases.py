"""Datasets as people lay them out, each with what a trainer learns from it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

#: What a trainer learns: the caption of each item by its name.
Learnt = Mapping[str, str]


def image(form: str = "PNG", size: tuple[int, int] = (70, 60), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 40, 20)).save(file, form, **options)
    return file.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return image("JPEG", (80, 40), exif=exif)


def video() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(9):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


PNG = image()


@dataclass(frozen=True, kw_only=True)
class DatasetCase:
    """One folder and one mapping of a config's `datasets`."""

    name: str
    files: Mapping[str, bytes]
    learnt: Learnt
    #: The mapping without `folder_path`; `{root}` in it is replaced by the case's folder.
    section: Mapping[str, Any] = field(default_factory=dict)
    #: The names of second pictures by item, then by kind.
    partners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    #: Captions that end the trainer.
    undecodable: frozenset[str] = frozenset()
    #: Whether the builtin trainer has these keys too.
    builtin: bool = True
    #: Folder of the dataset below the case's own.
    folder: str = "data"
    make: Callable[[Path], None] | None = None

    def build(self, root: Path) -> dict[str, Any]:
        """Write the files below `root`, and return the mapping for a config."""
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, target in self.links.items():
            (root / name).symlink_to(root / target)
        if self.make is not None:
            self.make(root)
        named = {} if "dataset_path" in self.section else {"folder_path": f"{root}/{self.folder}"}
        return {**named, **_placed(dict(self.section), root)}


def _placed(value: Any, root: Path) -> Any:
    if isinstance(value, str):
        return value.replace("{root}", str(root))
    if isinstance(value, list):
        return [_placed(inner, root) for inner in value]
    return {key: _placed(inner, root) for key, inner in value.items()} if isinstance(value, dict) else value


def _list(root: Path) -> None:
    content = {
        f"{root}/data/a.png": {"caption": "listed"},
        f"{root}/data/b.png": {},
        f"{root}/data/none.png": {"caption": "lost"},
        f"{root}/data/_controls/c.png": {"caption": "control"},
        "data/a.png": {"caption": "relative"},
    }
    (root / "list.json").write_text(json.dumps(content))


CASES = [
    DatasetCase(
        name="captions beside images",
        files={
            "data/a.png": PNG,
            "data/a.txt": b"a cat\r\nsits ",
            "data/b.jpg": image("JPEG"),
            "data/c.webp": image("WEBP"),
            "data/c.txt": "\ufeffwith a mark".encode(),
            "data/d.jpeg": image("JPEG"),
            "data/d.txt": b"",
        },
        learnt={"a.png": "a cat\nsits ", "b.jpg": "", "c.webp": "\ufeffwith a mark", "d.jpeg": ""},
    ),
    DatasetCase(
        name="other suffixes of captions",
        files={
            "data/a.png": PNG,
            "data/a.txt": b"text",
            "data/a.caption": b"caption",
            "data/b.png": PNG,
            "data/b.txt": b"text",
            "data/c.png": PNG,
            "data/c.CAPTION": b"caption",
        },
        section={"caption_ext": "caption"},
        learnt={"a.png": "caption", "b.png": "", "c.png": ""},
    ),
    DatasetCase(
        name="the legacy key of the suffix",
        files={"data/a.png": PNG, "data/a.txt": b"text", "data/a.tag": b"tags"},
        section={"caption_type": ".tag"},
        learnt={"a.png": "tags"},
        builtin=False,
    ),
    DatasetCase(
        name="letters of another case",
        files={
            "data/A.JPG": image("JPEG"),
            "data/A.TXT": b"never read",
            "data/B.PNG": PNG,
            "data/B.txt": b"read",
            "data/c.png": PNG,
            "data/C.txt": b"never read",
        },
        learnt={"A.JPG": "", "B.PNG": "read", "c.png": ""},
    ),
    DatasetCase(
        name="json beside images",
        files={"data/a.png": PNG, "data/a.json": b'{"caption": "a cat"}', "data/metadata.jsonl": b"{}"},
        learnt={"a.png": ""},
    ),
    DatasetCase(
        name="json as the suffix of captions",
        files={"data/a.png": PNG, "data/a.json": b'{"caption": "a cat"}'},
        section={"caption_ext": "json"},
        learnt={"a.png": '{"caption": "a cat"}'},
    ),
    DatasetCase(
        name="a default caption",
        files={
            "data/a.png": PNG,
            "data/b.png": PNG,
            "data/b.txt": b" \n",
            "data/c.png": PNG,
            "data/c.txt": b"own",
            "data/default.txt": b"never read",
        },
        section={"default_caption": "a thing"},
        learnt={"a.png": "a thing", "b.png": "a thing", "c.png": "own"},
    ),
    DatasetCase(
        name="a caption that is not UTF-8",
        files={"data/a.png": PNG, "data/a.txt": b"caf\xe9"},
        learnt={"a.png": ""},
        undecodable=frozenset({"a.png"}),
        builtin=False,
    ),
    DatasetCase(
        name="folders",
        files={
            "data/one/a.png": PNG,
            "data/one/a.txt": b"first",
            "data/two/a.png": PNG,
            "data/two/b.txt": b"never read",
            "data/_DSC0001.JPG": image("JPEG"),
            "data/.hidden.png": PNG,
            "data/.thumbs/a.png": PNG,
            "data/_controls/a.png": PNG,
            "data/one/_controls/a.png": PNG,
            "data/_controls/deeper/b.png": PNG,
            "data/_latent_cache/a.png": PNG,
            "data/__MACOSX/._a.png": b"\0",
            "data/notes.pdf": b"%PDF",
        },
        learnt={
            "one/a.png": "first",
            "two/a.png": "",
            "_DSC0001.JPG": "",
            "_controls/deeper/b.png": "",
            "_latent_cache/a.png": "",
        },
    ),
    DatasetCase(
        name="a folder called _controls",
        files={"_controls/a.png": PNG, "_controls/b/b.png": PNG},
        folder="_controls",
        learnt={"b/b.png": ""},
    ),
    DatasetCase(
        name="names as people give them",
        files={
            f"data/{stem}{suffix}": content
            for stem in ("it's me", "photo, red", "photo #1", "IMG_1 & 2", "(1)", "-dash", "a.b", "a.", "🙂 שלום", "n" * 200,
                         "e\u0301", "é", "per%20cent", "[trigger]")
            for suffix, content in ((".png", PNG), (".txt", stem.encode()))
        },
        learnt={
            f"{stem}.png": stem
            for stem in ("it's me", "photo, red", "photo #1", "IMG_1 & 2", "(1)", "-dash", "a.b", "a.", "🙂 שלום", "n" * 200,
                         "e\u0301", "é", "per%20cent", "[trigger]")
        },
    ),
    DatasetCase(
        name="suffixes that do not fit",
        files={"data/3.jpg": image("WEBP"), "data/4.png": image("JPEG"), "data/5.webp": PNG, "data/6.gif": image("GIF")},
        learnt={"3.jpg": "", "4.png": "", "5.webp": ""},
    ),
    DatasetCase(
        name="two images of one stem",
        files={"data/a.png": PNG, "data/a.jpg": image("JPEG"), "data/a.txt": b"shared"},
        learnt={"a.png": "shared", "a.jpg": "shared"},
    ),
    DatasetCase(
        name="a damaged image",
        files={"data/a.png": PNG, "data/b.png": PNG[:60], "data/c.png": b"text", "data/d.png": b""},
        learnt={"a.png": ""},
    ),
    DatasetCase(
        name="rotated and repeated",
        files={"data/a.jpg": rotated(), "data/b.png": PNG},
        section={"num_repeats": 3},
        learnt={"a.jpg": "", "b.png": ""},
    ),
    DatasetCase(
        name="links",
        files={"data/a.png": PNG, "elsewhere/b.png": PNG},
        links={"data/b.png": "elsewhere/b.png", "data/c.png": "elsewhere/none.png", "data/loop": "elsewhere"},
        learnt={"a.png": "", "b.png": ""},
    ),
    DatasetCase(
        name="clips without frames",
        files={"data/a.png": PNG, "data/b.mp4": video(), "data/b.txt": b"a clip", "data/c.mp3": b"\0"},
        learnt={"a.png": ""},
    ),
    DatasetCase(
        name="clips",
        files={"data/a.png": PNG, "data/b.mp4": video(), "data/b.txt": b"a clip", "data/C.MOV": video()},
        section={"num_frames": 5},
        learnt={"a.png": "", "b.mp4": "a clip", "C.MOV": ""},
        builtin=False,
    ),
    DatasetCase(
        name="clips of their own length",
        files={"data/b.mp4": video()},
        section={"auto_frame_count": True},
        learnt={"b.mp4": ""},
        builtin=False,
    ),
    DatasetCase(
        name="control images",
        files={
            "data/a.png": PNG,
            "data/sub/b.png": PNG,
            "data/c.png": PNG,
            "data/d.png": PNG,
            "control/a.jpg": image("JPEG"),
            "control/a.webp": image("WEBP"),
            "control/b.png": PNG,
            "control/sub/d.png": PNG,
            "control/C.png": PNG,
            "control/d.PNG": PNG,
        },
        section={"control_path": "{root}/control"},
        learnt={"a.png": "", "sub/b.png": "", "c.png": "", "d.png": ""},
        partners={"a.png": {"control": "a.jpg"}, "sub/b.png": {"control": "b.png"}},
        builtin=False,
    ),
    DatasetCase(
        name="two folders of control images",
        files={
            "data/a.png": PNG,
            "data/b.png": PNG,
            "one/a.png": PNG,
            "two/a.png": PNG,
            "two/b.png": PNG,
        },
        section={"control_path": ["{root}/one", "{root}/two"]},
        learnt={"a.png": "", "b.png": ""},
        partners={"a.png": {"control": ["a.png", "a.png"]}, "b.png": {"control": "b.png"}},
        builtin=False,
    ),
    DatasetCase(
        name="numbered folders of control images",
        files={"data/a.png": PNG, "one/a.png": PNG, "two/a.png": PNG, "three/a.png": PNG},
        section={"control_path": "{root}/one", "control_path_2": "{root}/two", "control_path_1": "{root}/three"},
        learnt={"a.png": ""},
        partners={"a.png": {"control": ["a.png", "a.png"]}},
        builtin=False,
    ),
    DatasetCase(
        name="masks and the like",
        files={
            "data/a.png": PNG,
            "data/b.png": PNG,
            "mask/a.png": PNG,
            "inpaint/a.jpg": image("JPEG"),
            "inpaint/b.webp": image("WEBP"),
            "before/b.jpeg": image("JPEG"),
        },
        section={
            "mask_path": "{root}/mask",
            "inpaint_path": "{root}/inpaint",
            "unconditional_path": "{root}/before",
        },
        learnt={"a.png": "", "b.png": ""},
        partners={"a.png": {"mask": "a.png"}, "b.png": {"inpaint": "b.webp", "unconditional": "b.jpeg"}},
        builtin=False,
    ),
    DatasetCase(
        name="a list",
        files={
            "data/a.png": PNG,
            "data/a.txt": b"never read",
            "data/b.png": PNG,
            "data/b.txt": b"beside",
            "data/_controls/c.png": PNG,
        },
        make=_list,
        section={"dataset_path": "{root}/list.json"},
        learnt={"data/a.png": "listed", "data/b.png": "beside"},
        builtin=False,
    ),
]  # fmt: skip
