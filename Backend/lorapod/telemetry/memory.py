"""Memory that this process may use: the tightest limit on the way from its control group to the machine.

Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst` (memory.max, memory.current, memory.stat) and
`cgroup-v1/memory.rst` (memory.limit_in_bytes, memory.usage_in_bytes, memory.stat with `total_inactive_file`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

import psutil

#: cgroup v1 writes "no limit" as the largest page-aligned number; no machine has a memory of that size.
_UNLIMITED_BYTES: Final = 1 << 60


class MemoryLimit(StrEnum):
    """What bounds the memory."""

    #: A control group: the container's own limit.
    CONTAINER = "container"
    #: The machine.
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory in bytes; file cache that the kernel can drop at once counts as available."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    limited_by: MemoryLimit


@dataclass(frozen=True, kw_only=True)
class _Files:
    """The names of one version of control groups."""

    limit: str
    usage: str
    droppable: str


_V1: Final = _Files(
    limit="memory.limit_in_bytes", usage="memory.usage_in_bytes", droppable="total_inactive_file"
)
_V2: Final = _Files(limit="memory.max", usage="memory.current", droppable="inactive_file")


def host_memory() -> Memory:
    """Return the machine's memory, including what this container may not use."""
    host = psutil.virtual_memory()
    return Memory(
        total_bytes=host.total,
        used_bytes=host.total - host.available,
        available_bytes=host.available,
        limited_by=MemoryLimit.HOST,
    )


def memory_of(
    *,
    cgroup_root: Path = Path("/sys/fs/cgroup"),
    proc_root: Path = Path("/proc"),
    host: Callable[[], Memory] = host_memory,
) -> Memory:
    """Return the memory that this process may use.

    Every group from the process's own up to the root may set a limit, and a limit of the container does not make the
    machine any larger: the total is the smallest limit, the available bytes are the fewest that any level has left.
    """
    machine = host()
    levels = [machine, *_limits(cgroup_root, proc_root)]
    available = min(level.available_bytes for level in levels)
    tightest = min(levels, key=lambda level: level.total_bytes)
    return Memory(
        total_bytes=tightest.total_bytes,
        used_bytes=tightest.total_bytes - available,
        available_bytes=available,
        limited_by=tightest.limited_by,
    )


def _limits(cgroup_root: Path, proc_root: Path) -> Iterator[Memory]:
    for mount, group, files in _groups(cgroup_root, proc_root):
        below = PurePosixPath(group.lstrip("/"))
        # Seen from inside a container the named group may not exist below the mount: the mount is the group then.
        for folder in (below, *below.parents):
            if (level := _level(mount / folder, files)) is not None:
                yield level


def _groups(cgroup_root: Path, proc_root: Path) -> Iterator[tuple[Path, str, _Files]]:
    """Yield the mount, the path below it and the file names of each memory group that this process is in."""
    for line in _text(proc_root / "self" / "cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if ".." in PurePosixPath(group).parts:
            group = "/"
        if "memory" in controllers.split(","):
            yield cgroup_root / "memory", group, _V1
        elif hierarchy == "0" and not controllers:
            yield cgroup_root, group, _V2


def _level(folder: Path, files: _Files) -> Memory | None:
    """Return what one group allows; None if it sets no limit or cannot be read."""
    limit, usage = _number(folder / files.limit), _number(folder / files.usage)
    if limit is None or usage is None or limit >= _UNLIMITED_BYTES:
        return None
    used = max(usage - _droppable(folder / "memory.stat", files.droppable), 0)
    return Memory(
        total_bytes=limit,
        used_bytes=used,
        available_bytes=max(limit - used, 0),
        limited_by=MemoryLimit.CONTAINER,
    )


def _droppable(path: Path, key: str) -> int:
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdecimal():
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    """Return the file's text; an empty text if the kernel has no such file or forbids to read it."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
