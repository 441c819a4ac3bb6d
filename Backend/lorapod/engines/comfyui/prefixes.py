"""Where a workflow's nodes save: a folder of the job's own, so that no two jobs meet, nor a job and a cached result."""

from __future__ import annotations

import re
from typing import Any

from lorapod.engines.comfyui.graph import Graph, links_of

#: The folder for this worker's jobs within ComfyUI's input and output folders.
ROOT = "lorapod"

_PLAIN = re.compile(r"[^A-Za-z0-9-]+")
_NAME_CHARACTERS = 60
#: An input that no node has: ComfyUI does not hand it on, but takes it into what a cached result is found by.
_RERUN = "lorapod_rerun"


def job_folder(job: str) -> str:
    """The subfolder of one job, within ComfyUI's input and output folders."""
    return f"{ROOT}/{job}"


def set_prefixes(graph: Graph, folder: str) -> None:
    """Have every node that saves under a prefix of plain text save in `folder`, in place."""
    for node_id, node in graph.items():
        prefix = node["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            node["inputs"]["filename_prefix"] = f"{folder}/{_name(prefix) or _name(node_id) or 'output'}"


def forget_cached(graph: Graph, mark: str) -> None:
    """Have ComfyUI run every last node again even where nothing about it changed, in place."""
    linked = {link[0] for node in graph.values() for _, link in links_of(node)}
    for node_id, node in graph.items():
        if node_id not in linked:
            node["inputs"][_RERUN] = mark


def _name(text: Any) -> str:
    """The last part of a prefix, less what ComfyUI would expand or a file system dislike."""
    return _PLAIN.sub("_", str(text).replace("\\", "/").rpartition("/")[2]).strip("_")[:_NAME_CHARACTERS]
