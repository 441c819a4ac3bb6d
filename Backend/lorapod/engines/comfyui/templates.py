"""Workflows by name: those of this package, and those that the workspace's `workflows` folder adds or replaces."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from lorapod.engines.comfyui.graph import Graph, load_graph
from lorapod.errors import InvalidInput, NotFound
from lorapod.workspace import safe_name

SUFFIX = ".json"
TEMPLATE_BYTES_MAX = 8_000_000

#: The workflows of requests that name none: with an image, and without.
IMAGE_TO_VIDEO = "video_wan2_2_14B_i2v"
TEXT_TO_IMAGE = "text_to_image"


class WorkflowTemplates:
    """Finds workflows; reads the folder each time, so that files may come and go."""

    def __init__(self, folder: Path) -> None:
        """Look in `folder`, which need not exist, before the package's own."""
        self._folder = folder

    def names(self) -> list[str]:
        """Return every workflow that can be requested by name."""
        own = files("lorapod.engines.comfyui").joinpath("workflows").iterdir()
        added = self._folder.iterdir() if self._folder.is_dir() else ()
        found = {entry.name for place in (own, added) for entry in place if entry.name.endswith(SUFFIX)}
        return sorted(name.removesuffix(SUFFIX) for name in found)

    def load(self, name: str) -> Graph:
        """Return the workflow of that name, with or without its `.json`.

        Raises:
            NotFound: no template has that name; the message lists the names.
            InvalidInput: the name is not a plain one, or the file is not a workflow in API format.
            OSError: the file cannot be read.
        """
        name = safe_name(name.removesuffix(SUFFIX), field="comfyui_workflow_name")
        for place in self._places(name):
            if place.is_file():
                return load_graph(self._text(place), name=f"workflow {name}")
        known = ", ".join(self.names()) or "none"
        raise NotFound(
            f"There is no workflow named {name!r}; there are: {known}.",
            hint="Send `workflow`, or put it into the workspace's workflows folder.",
        )

    def _places(self, name: str) -> tuple[Traversable, ...]:
        own = files("lorapod.engines.comfyui").joinpath("workflows", f"{name}{SUFFIX}")
        return (self._folder / f"{name}{SUFFIX}", own)

    @staticmethod
    def _text(place: Traversable) -> str:
        with place.open("rb") as file:
            data = file.read(TEMPLATE_BYTES_MAX + 1)
        if len(data) > TEMPLATE_BYTES_MAX:
            raise InvalidInput(f"The workflow {place.name} is larger than {TEMPLATE_BYTES_MAX} bytes.")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"The workflow {place.name} is not UTF-8 text.") from error
