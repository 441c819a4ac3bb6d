"""What a finished prompt made, as its history lists it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.engines.comfyui.graph import Graph, is_link

#: Saved for good, or a preview; there is also `input`, an uploaded file.
OUTPUT = "output"
TEMPORARY = "temp"


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """One file in ComfyUI's folders; only its name shows its kind: ComfyUI lists videos under `images` too."""

    node: str
    filename: str
    subfolder: str
    #: `output` or `temp`.
    type: str
    #: The list of the node's output that names it: `images`, `gifs`, `audio`, or an extension's own.
    listed_as: str = "images"


@dataclass(frozen=True, kw_only=True)
class OutputText:
    """A text that a node shows."""

    node: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PromptOutputs:
    """Everything that a prompt made."""

    files: Sequence[OutputFile]
    texts: Sequence[OutputText]

    @property
    def kept(self) -> Sequence[OutputFile]:
        """The files that nodes saved."""
        return [file for file in self.files if file.type == OUTPUT]

    @property
    def wanted(self) -> Sequence[OutputFile]:
        """The files that nodes saved; the previews if there is nothing else."""
        if self.kept:
            return self.kept
        return [] if self.texts else [file for file in self.files if file.type == TEMPORARY]


def outputs_in(entry: Mapping[str, Any]) -> PromptOutputs:
    """Return the outputs of a history entry, in the order of the workflow's nodes: they may run in any order.

    Extensions have keys of their own beside `images`, `gifs`, `audio` and `latents`: whatever has a filename is a file.
    """
    outputs = entry.get("outputs")
    found = [
        (str(node), key, item)
        for node, shown in sorted(outputs.items() if isinstance(outputs, Mapping) else (), key=_place(entry))
        for key, item in _items(shown)
    ]
    files: dict[tuple[str, str, str], OutputFile] = {}
    for node, key, item in found:
        if isinstance(item, Mapping) and (file := _file(node, key, item)) is not None:
            files.setdefault((file.type, file.subfolder, file.filename), file)
    texts = [
        OutputText(node=node, text=item) for node, _, item in found if isinstance(item, str) and item.strip()
    ]
    return PromptOutputs(files=list(files.values()), texts=texts)


def _place(entry: Mapping[str, Any]) -> Callable[[tuple[str, Any]], int]:
    """Return the sort key of an output: the place of its node in the prompt, `[number, id, workflow, …]`."""
    prompt = entry.get("prompt")
    workflow = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else {}
    places = {node: place for place, node in enumerate(workflow)}
    return lambda output: places.get(output[0], len(places))


def _items(shown: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a node shows, each with its key: files under any key, texts under `text`."""
    for key, items in shown.items() if isinstance(shown, Mapping) else ():
        if key == "text" and isinstance(items, str):
            yield key, items
        for item in items if isinstance(items, list) else ():
            if isinstance(item, Mapping) or (key == "text" and isinstance(item, str)):
                yield str(key), item


def _file(node: str, key: str, item: Mapping[str, Any]) -> OutputFile | None:
    filename, subfolder = item.get("filename"), item.get("subfolder") or ""
    kind = item.get("type") or OUTPUT
    if not isinstance(filename, str) or not filename or not isinstance(subfolder, str):
        return None
    return OutputFile(node=node, filename=filename, subfolder=subfolder, type=str(kind), listed_as=key)


def cached_nodes(entry: Mapping[str, Any]) -> set[str]:
    """Return the nodes of a history entry whose results came from the cache."""
    messages = (entry.get("status") or {}).get("messages") or ()
    return {node for kind, data in messages if kind == "execution_cached" for node in data.get("nodes", ())}


def saved_elsewhere(entry: Mapping[str, Any], graph: Graph) -> list[OutputFile]:
    """Return what nodes of the workflow saved under a prefix that another node made.

    A saved file from the cache belongs to an earlier prompt, perhaps of another client.
    """
    cached = cached_nodes(entry)
    linked = {node_id for node_id, node in graph.items() if is_link(node["inputs"].get("filename_prefix"))}
    return [file for file in outputs_in(entry).files if file.type == OUTPUT and file.node in linked - cached]
