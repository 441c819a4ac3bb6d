"""The tools, one for each action. `scripts/reference.py` writes `tools.json` from the actions' own models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_WAIT = "wait"
#: Instead of the action's own words, which are about RunPod's job.
_WAIT_DESCRIPTION = (
    "Answer at the end of the process, with progress until then. Default: answer as soon as it has begun."
)
_STARTS = " Answers with its process_id as soon as it has begun; process_status follows it."


@dataclass(frozen=True, kw_only=True)
class ActionTool:
    """One action as a tool."""

    name: str
    description: str
    #: JSON Schema of the arguments.
    input_schema: Mapping[str, Any]
    #: Whether it changes nothing.
    reads_only: bool
    #: Whether it may end or overwrite what a person made.
    destroys: bool
    #: Whether it starts a process and need not wait for its end.
    starts_process: bool

    @property
    def title(self) -> str:
        """Return the name for people."""
        return self.name.replace("_", " ").capitalize()


@cache
def action_tools() -> Mapping[str, ActionTool]:
    """Return every tool by its name."""
    stored = json.loads(files(__package__).joinpath("tools.json").read_text("utf-8"))
    return {each["name"]: _tool(each) for each in stored}


def chosen_tools(*, read_only: bool) -> Sequence[ActionTool]:
    """Return the tools to offer; with `read_only`, those that change nothing."""
    return [tool for tool in action_tools().values() if tool.reads_only or not read_only]


def _tool(stored: Mapping[str, Any]) -> ActionTool:
    if not stored["starts_process"]:
        return ActionTool(**stored)
    schema = dict(stored["input_schema"])
    wait = {"type": "boolean", "default": False, "description": _WAIT_DESCRIPTION}
    schema["properties"] = {**schema["properties"], _WAIT: wait}
    return ActionTool(**{**stored, "description": stored["description"] + _STARTS, "input_schema": schema})
