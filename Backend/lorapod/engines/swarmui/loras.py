"""Copies of the workspace's LoRAs for SwarmUI, in a folder of the worker among SwarmUI's LoRAs.

Copies, not links: SwarmUI writes the hash and other metadata into the header of a LoRA that it uses, in place if
they fit. Through a link, that would change what a training made, and its checksum.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorapod.clock import Clock
from lorapod.engines.port import LoraUse
from lorapod.engines.swarmui.inventory import SwarmInventory, inventory, plain_model
from lorapod.engines.swarmui.session import SwarmCaller
from lorapod.errors import InsufficientStorage, Unsupported, UpstreamError

#: The worker's own folder among SwarmUI's LoRAs.
OWN_FOLDER = "lorapod"

#: After so long a time without use a copy is removed: it can be made again.
UNUSED_S = 7 * 86_400

#: It ignores a refresh within ten seconds of the last one.
SEEN_S = 15.0
LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class LoraFolder:
    """SwarmUI's folder of LoRAs, as the worker sees it."""

    path: Path
    #: What stays free on its disk.
    keep_free_bytes: int

    def place(self, lora: LoraUse) -> str:
        """Copy a LoRA if that is not done yet; return SwarmUI's name for it, with suffix.

        The name contains a digest of path, size and time, so that a copy is never out of date.

        Raises:
            InsufficientStorage: there is no room.
            OSError: it cannot be read or written.
        """
        real, folder = lora.path.resolve(), self.path.resolve()
        if real.is_relative_to(folder):
            return real.relative_to(folder).as_posix()
        state = real.stat()
        identity = f"{real}\n{state.st_size}\n{state.st_mtime_ns}".encode()
        name = f"{_plain(lora.name)}-{hashlib.sha256(identity).hexdigest()[:12]}{real.suffix}"
        target = folder / OWN_FOLDER / name
        if not _noted_as_used(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            self._copy(real, target, state.st_size)
        return f"{OWN_FOLDER}/{name}"

    def _copy(self, source: Path, target: Path, size_bytes: int) -> None:
        if shutil.disk_usage(target.parent).free - size_bytes < self.keep_free_bytes:
            raise InsufficientStorage(
                f"There is no room for a copy of {source.name!r} among SwarmUI's models ({size_bytes} bytes).",
                hint="Delete old models or outputs, then try again.",
            )
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            shutil.copyfile(source, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _noted_as_used(copy: Path) -> bool:
    """Return whether the copy is there; record in its access time that it is used."""
    try:
        os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))
    except FileNotFoundError:
        return False
    except PermissionError:
        # SwarmUI, as another user, has replaced it.
        return True
    return True


def _sweep(own: Path) -> None:
    """Remove copies that were not used for long, and unfinished ones; ignore what cannot be removed."""
    for path in own.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_atime > UNUSED_S:
                path.unlink()


@dataclass(frozen=True, kw_only=True)
class ModelRoots:
    """The places where SwarmUI's models may be."""

    #: SwarmUI's model folder, if the operator named it.
    named: Path | None = None
    #: Possible installations of SwarmUI: it names its folders relative to its own.
    installations: Sequence[Path] = ()

    async def lora_folder(self, caller: SwarmCaller) -> Path:
        """Return SwarmUI's folder of LoRAs: below the named one, else the one that SwarmUI reports.

        Raises:
            Unsupported: it is not on this machine.
            WorkerError: SwarmUI does not say.
        """
        if self.named is not None:
            return self.named / "Lora"
        told = await caller.call("ListServerSettings")
        folder = _setting(told, "paths", "sdlorafolder") or "Lora"
        for root in (_setting(told, "paths", "modelroot") or "Models").split(";"):
            for place in (Path(root.strip()), *(base / root.strip() for base in self.installations)):
                if place.is_absolute() and place.is_dir():
                    return place / folder.partition(";")[0].strip()
        raise Unsupported(
            "SwarmUI's model folder is not on this machine, so the worker cannot hand LoRAs over.",
            hint="Set SWARMUI_MODELS_PATH to the folder that SwarmUI's setting Paths.ModelRoot names.",
        )


async def seen(
    caller: SwarmCaller, names: Sequence[str], known: SwarmInventory, clock: Clock
) -> SwarmInventory:
    """Wait until SwarmUI has all of `names` among its LoRAs; return what it knows then.

    Raises:
        UpstreamError: it does not find them.
    """
    until_s = clock.monotonic() + SEEN_S
    while missing := _missing(names, known):
        if clock.monotonic() >= until_s:
            raise UpstreamError(
                f"SwarmUI does not find the LoRA {missing[0]!r} that was placed for it.",
                hint="Check that SWARMUI_MODELS_PATH is the folder that SwarmUI's Paths.ModelRoot names.",
            )
        known = await inventory(caller, refresh=True)
        if _missing(names, known):
            await asyncio.sleep(LOOK_S)
    return known


def _setting(told: Mapping[str, Any], section: str, name: str) -> str | None:
    """Return one of SwarmUI's settings from its list of all."""
    found: Any = told.get("settings")
    for wanted in (section, name):
        entries = found if isinstance(found, dict) else {}
        entry = next((entry for key, entry in entries.items() if key.lower() == wanted), None)
        found = entry.get("value") if isinstance(entry, dict) else None
    return found if isinstance(found, str) and found else None


def _missing(names: Sequence[str], known: SwarmInventory) -> list[str]:
    there = {plain_model(name) for name in known.models.get("LoRA", ())}
    return [name for name in names if plain_model(name) not in there]


def _plain(name: str) -> str:
    """Return a name that does not break SwarmUI's lists, which are separated by commas."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    return kept[:80] or "lora"
