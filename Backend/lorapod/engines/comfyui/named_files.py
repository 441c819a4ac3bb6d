"""The files that a workflow names: ComfyUI shall read only the job's own uploads and files of the workspace.

ComfyUI's loaders take any path on its machine. So each file that a caller names is looked up in the workspace and uploaded
into the job's own folder, and the node gets the name of the upload. A file that the request brought goes before one of the
workspace. A name that is neither is looked for in the job's own folder, never among the inputs of other jobs. What a template
of the worker says stays as it is, unless the request brought a file of that name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.engines.comfyui.graph import Graph, is_link, shown_node
from lorapod.errors import UnsafePath
from lorapod.safety.urls import shown_url
from lorapod.workspace import PATH_MAX_BYTES, Workspace

#: Types of inputs that hold a text: a widget, or a text that another node made.
TEXT_TYPES = frozenset({"STRING", "COMBO"})

#: Last words of the names of inputs that name a file, if they hold a text; and of those that name any path.
_MEDIA = frozenset({"image", "images", "mask", "video", "audio", "model_3d", "mesh"})
_PATHS = frozenset({"path", "paths", "file", "files", "filename", "filepath", "directory", "folder", "dir"})
#: Words of inputs that name where a node saves: they are kept if they are relative.
_SAVED = frozenset({"output", "save", "saved", "out", "prefix"})
#: Last words of inputs whose text is never a path, even if it begins like one.
_TEXTS = frozenset(
    "text string prompt caption positive negative value pattern replace find substring expression code json "
    "template delimiter separator suffix tags title description message base64 data".split()
)
_WORD = re.compile(r"[A-Za-z0-9]+")
_SUFFIX = re.compile(r"\.\w{1,12}\s*(\[(input|output|temp)\])?\s*$", re.ASCII)
#: What ComfyUI's page adds to the name of an uploaded file.
_PLACE = re.compile(r"\s*\[input\]\s*$")
_DATA = re.compile(r"\s*data:[^,]*,", re.ASCII)
_PARENT = re.compile(r"(^|[\\/])\.\.([\\/]|$)")
#: Its last part is a URL, or what ffmpeg reads as one: `concat:/…`, `subfile,,start,0,end,9,,:/…`.
_ABSOLUTE = re.compile(r"/+(\./+)*\.?\w|\\\\|[A-Za-z]:[\\/]|~\w*/|\w+(,[^\s:]*)?:/|file:")
_URL = re.compile(r"\w+://")
_SHOWN_CHARACTERS = 80
_HINT = "Name a file of the workspace, relative to its root, or send it with the request."


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What ComfyUI knows of an input."""

    #: Such as `IMAGE`, `STRING` or `COMBO`.
    type: str
    #: Whether its widget uploads files.
    uploads: bool = False
    #: The values of a `COMBO`.
    options: tuple[Any, ...] = ()


#: The inputs of a class by their names.
Specs = Mapping[str, Mapping[str, InputSpec]]


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file that an input of a caller's names."""

    node_id: str
    input: str
    #: The text of the input.
    value: str
    #: The file that the request brought, or that of the workspace; None without a file of that name.
    source: Path | None


def specs_in(answer: Any, class_type: str) -> dict[str, InputSpec] | None:
    """Return the inputs in an answer of `GET /object_info/<class>`; None if ComfyUI does not have the class."""
    known = answer.get(class_type) if isinstance(answer, Mapping) else None
    if not isinstance(known, Mapping):
        return None
    groups = known.get("input")
    found = {}
    for group in groups.values() if isinstance(groups, Mapping) else ():
        for name, spec in group.items() if isinstance(group, Mapping) else ():
            if isinstance(spec, list) and spec:
                found[name] = input_spec(spec)
    return found


def input_spec(spec: Sequence[Any]) -> InputSpec:
    """Read one input, `[type, options]`; both forms of lists are `COMBO`."""
    more = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    listed = spec[0] if isinstance(spec[0], list) else more.get("options")
    return InputSpec(
        type=spec[0] if isinstance(spec[0], str) else "COMBO",
        uploads=any(str(key).endswith("_upload") and more[key] for key in more),
        options=tuple(listed) if isinstance(listed, list) else (),
    )


def named_files(
    graph: Graph,
    workspace: Workspace,
    *,
    own_folder: str,
    trusted: Graph,
    specs: Specs,
    brought: Mapping[str, Path],
) -> list[NamedFile]:
    """Return the files that a filled workflow names, but for the job's own uploads.

    Args:
        graph: the workflow.
        workspace: where callers' files are.
        own_folder: the folder of the job's own uploads, below ComfyUI's inputs.
        trusted: the worker's own template; its inputs are not looked at. Empty for a caller's workflow.
        specs: what ComfyUI knows of the inputs, if it was asked.
        brought: the files that the request brought, by their names.

    Raises:
        UnsafePath: an input names a path outside the workspace, or takes its path from another node.
    """
    files: list[NamedFile] = []
    problems: list[dict[str, Any]] = []
    for node_id, node in graph.items():
        known = specs.get(node["class_type"], {})
        template = trusted.get(node_id, {}).get("inputs", {})
        for name, value in node["inputs"].items():
            kind = _Kind.of(name, known.get(name))
            own = _brought(value, kind, brought)
            files += [
                NamedFile(node_id=node_id, input=name, value=text, source=source)
                for text, source in own.items()
            ]
            if name in template and template[name] == value:
                continue
            try:
                for text, source in _files(value, kind, workspace, own_folder):
                    if text not in own:
                        files.append(NamedFile(node_id=node_id, input=name, value=text, source=source))
            except UnsafePath as error:
                problems.append(_problem(graph, node_id, name, error.message))
    if problems:
        first = problems[0]
        raise UnsafePath(f"{first['field']}: {first['error']}.", hint=_HINT, details=problems)
    return files


def _brought(value: Any, kind: _Kind, brought: Mapping[str, Path]) -> dict[str, Path]:
    """Return the texts of an input that name a file of the request, with the file."""
    if is_link(value) or kind.text or kind.saves:
        return {}
    return {
        text: path
        for text in _texts(value)
        if (path := brought.get(_PLACE.sub("", text).strip())) is not None
    }


def _files(
    value: Any, kind: _Kind, workspace: Workspace, own_folder: str
) -> Iterator[tuple[str, Path | None]]:
    """Yield each text of an input that names a file, with the file in the workspace.

    Raises:
        UnsafePath: the input may not have this value; the message continues a sentence that names it.
    """
    if is_link(value):
        if kind.names_file and kind.computed:
            raise UnsafePath(f"takes its path from node {value[0]}: name the file itself")
        return
    for text in _texts(value):
        own = text.startswith(f"{own_folder}/") and not _PARENT.search(text)
        if own or not kind.may_be_path(text):
            continue
        source = _source(text, workspace)
        if kind.is_input(text):
            yield text, source


def with_names(graph: Graph, names: Mapping[tuple[str, str, str], str]) -> Graph:
    """Return the workflow with other names for its files; the keys of `names` are node, input and present text."""
    renamed = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in graph.items()}
    for node_id, name, _ in names:
        inputs = renamed[node_id]["inputs"]
        inputs[name] = _replaced(
            graph[node_id]["inputs"][name],
            {text: new for (node, field, text), new in names.items() if (node, field) == (node_id, name)},
        )
    return renamed


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What the name and the type of an input say about texts in it."""

    media: bool
    path: bool
    text: bool
    saves: bool
    computed: bool

    @classmethod
    def of(cls, name: str, spec: InputSpec | None) -> _Kind:
        words = [word.lower() for word in _WORD.findall(name)] or [""]
        # `image_name` names an image, `ckpt_name` does not.
        last = words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
        uploads = spec is not None and spec.uploads
        return cls(
            media=last in _MEDIA,
            path=uploads or last in _PATHS,
            text=last in _TEXTS and not uploads,
            saves=bool(_SAVED & set(words)),
            computed=spec is not None and spec.type in TEXT_TYPES,
        )

    @property
    def names_file(self) -> bool:
        """Whether a text in it is the name of a file to read."""
        return (self.media or self.path) and not self.saves

    def may_be_path(self, text: str) -> bool:
        """Return whether a node could read the text as a path; base64 and prompts are not paths."""
        if _too_long(text) or (_DATA.match(text) and not _PARENT.search(text)) or not text.strip():
            return False
        return self.names_file or (not self.text and "\n" not in text.strip() and _outside(text))

    def is_input(self, text: str) -> bool:
        """Return whether the text names a file to read: options such as `alpha` have no suffix."""
        return self.names_file and (self.path or _outside(text) or bool(_SUFFIX.search(text)))


def _too_long(text: str) -> bool:
    """Return whether a text is too long for a path, also for one that a node shortens before it opens it."""
    size = len(text.encode(errors="replace"))
    return size > PATH_MAX_BYTES and len(os.path.normpath(text).encode(errors="replace")) > PATH_MAX_BYTES


def _plain(text: str) -> str:
    """Return a path without the blanks and quotes that some loaders remove."""
    return text.strip().strip("\"'").strip()


def _outside(text: str) -> bool:
    plain = _plain(text)
    return bool(_PARENT.search(plain) or _ABSOLUTE.match(plain))


def _source(text: str, workspace: Workspace) -> Path | None:
    """Return the file of the workspace that a text names; None without such a file.

    Raises:
        UnsafePath: it leads outside, or through a parent folder.
    """
    plain = _plain(text)
    try:
        if _PARENT.search(plain) or (_ABSOLUTE.match(plain) and not plain.startswith("/")):
            raise UnsafePath
        path = workspace.safe_path(plain)
    except UnsafePath:
        if _URL.match(plain):
            raise UnsafePath(f"{shown_url(plain)} is a URL, not a file") from None
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
        raise UnsafePath(f"{shown!r} leads outside the workspace") from None
    return path if path.is_file() else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_replaced(inner, names) for inner in value]
    return (
        {key: _replaced(inner, names) for key, inner in value.items()} if isinstance(value, dict) else value
    )


def _problem(graph: Graph, node_id: str, name: str, text: str) -> dict[str, Any]:
    class_type = graph[node_id]["class_type"]
    return {
        "field": f"workflow.{node_id}.{name}",
        "error": f"{name} of node {shown_node(graph, node_id)}: {text}",
        "node": node_id,
        "class": class_type,
        "class_type": class_type,
        "input": name,
        "problem": text,
        "allowed": None,
    }
