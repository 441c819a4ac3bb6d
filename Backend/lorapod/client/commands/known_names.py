"""The names that commands have shown, kept on this machine: what the shell completes, without a worker that is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import typer

PROCESSES: Final = "processes"
DATASETS: Final = "datasets"

#: Names of one kind that are kept; the newest first.
_MOST = 200


def remember(endpoint: str, kind: str, names: Iterable[str]) -> None:
    """Keep names, the newest first; if the disk does not take them, the shell completes fewer."""
    path = _path()
    known = _read(path)
    of_endpoint = known.setdefault(endpoint, {})
    of_endpoint[kind] = list(dict.fromkeys([*names, *of_endpoint.get(kind, ())]))[:_MOST]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(known), encoding="utf-8")
        beside.replace(path)


def complete_process(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of processes that begin with what was typed."""
    return _beginning(context, PROCESSES, incomplete)


def complete_training(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of trainings that begin with what was typed."""
    return [name for name in complete_process(context, incomplete) if name.startswith("train_")]


def complete_dataset(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of datasets that begin with what was typed."""
    return _beginning(context, DATASETS, incomplete)


def _beginning(context: typer.Context, kind: str, incomplete: str) -> list[str]:
    known = _read(_path())
    options = context.find_root().params
    named = options.get("url") or options.get("endpoint_id")
    # Without a name it is the endpoint of the folder's file; names of other endpoints do no harm then.
    chosen: Sequence[dict[str, list[str]]] = [known[named]] if named in known else list(known.values())
    names = [name for of_endpoint in chosen for name in of_endpoint.get(kind, ())]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    """Return what is kept; nothing if it is damaged."""
    try:
        known = json.loads(path.read_text("utf-8"))
        return {
            str(endpoint): {str(kind): [str(name) for name in names] for kind, names in kinds.items()}
            for endpoint, kinds in known.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _path() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "lorapod", "names.json")
