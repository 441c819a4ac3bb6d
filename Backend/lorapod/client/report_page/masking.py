"""Secrets do not belong into a page that is sent: what looks like one is masked, wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

_PATTERNS: Final = (
    # A value in a config: `hf_token: …`, `"api_key": "…"`.
    (
        re.compile(
            r"(?im)^([ \t-]*[\"']?[\w.-]*(?:token|secret|password|passwd|api_?key|access_key)[\"']?[ \t]*:[ \t]*)\S.*$"
        ),
        rf"\1{MASK}",
    ),
    # Keys of HuggingFace, RunPod, OpenAI, GitHub and Amazon, by their prefixes.
    (re.compile(r"\b(?:hf_|rpa_|sk-|ghp_|github_pat_|AKIA)[A-Za-z0-9_-]{12,}"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/-]{8,}=*"), rf"\1 {MASK}"),
    # https://user:password@host, and signatures in a query.
    (re.compile(r"(?<=://)[^\s/?#@\"']{1,500}@"), f"{MASK}@"),
    (
        re.compile(
            r"(?i)([?&](?:x-amz-[a-z-]+|signature|sig|token|access_token|api_?key|key)=)[^\s&#\"'<>]+"
        ),
        rf"\1{MASK}",
    ),
)


def masked_text(text: str) -> str:
    """Return a text without what looks like a secret."""
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text


def masked(value: Any) -> Any:
    """Return an answer of the worker with every text masked."""
    match value:
        case str():
            return masked_text(value)
        case Mapping():
            return {name: masked(one) for name, one in value.items()}
        case list():
            return [masked(one) for one in value]
        case _:
            return value
