"""Ids of processes, which sort by age."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

_RANDOM_BITS = 8
_FRACTIONS = 256

_PROCESS_ID = re.compile(r"[a-z]{3,16}_[0-9a-f]{12}")


def new_process_id(kind: str, moment: datetime) -> str:
    """Return `<kind>_` and 12 hexadecimal digits: 8 of seconds, 2 of 1/256 s, 2 at random; sorted by name is by age.

    Two processes of the same 1/256 s can draw the same id; the store makes its folder exclusively and has the caller
    draw again.
    """
    seconds = int(moment.timestamp())
    fraction = moment.microsecond * _FRACTIONS // 1_000_000
    return f"{kind}_{seconds & 0xFFFFFFFF:08x}{fraction:02x}{secrets.randbits(_RANDOM_BITS):02x}"


def age_key(process_id: str) -> str:
    """Return what to sort process ids by; the greatest is the newest."""
    return process_id.rpartition("_")[2]


def is_process_id(text: str) -> bool:
    """Return whether a text has the form of a process id."""
    return _PROCESS_ID.fullmatch(text) is not None
