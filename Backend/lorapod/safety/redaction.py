"""Secrets taken out of everything that is written or returned."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "***"

#: Shorter values are words that stand everywhere (`true`, `guest`): masking them would spoil every text.
SECRET_MIN_CHARACTERS = 8

#: The names of query parameters and headers that carry a right rather than a wish.
_PARAMETERS = (
    "x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential|awsaccesskeyid"
    "|signature|sig|token|access_token|refresh_token|auth|api_?key|apikey|key|password|passwd|secret"
)
_PATTERNS = (
    # https://user:password@host
    (re.compile(r"(?<=://)[^\s/?#@\"']{1,500}@"), f"{MASK}@"),
    (re.compile(rf"(?i)([?&;](?:{_PARAMETERS})=)[^\s&#;\"'<>]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/-]{8,}=*"), rf"\1 {MASK}"),
)

#: Fields whose text is the content of a file, in base64: it is the caller's own, and changing it would break it.
_CONTENT_FIELDS = frozenset({"data", "content"})


class Redactor:
    """Knows this worker's secrets, and the forms in which addresses carry others."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Mask these values, however they are quoted; of addresses among them, the password alone too."""
        self._held = Counter(secrets)
        self._lock = threading.Lock()
        self._secrets = _pattern(self._held)

    @contextmanager
    def holding(self, secrets: Iterable[str]) -> Iterator[None]:
        """Mask these values too until the end of the block: what a job has brought with it. Any thread, any number."""
        added = Counter(secrets)
        if not added:
            yield
            return
        self._change(lambda held: held + added)
        try:
            yield
        finally:
            self._change(lambda held: held - added)

    def _change(self, change: Callable[[Counter[str]], Counter[str]]) -> None:
        with self._lock:
            self._held = change(self._held)
            self._secrets = _pattern(self._held)

    def values(self, text: str) -> str:
        """`text` without this worker's own secrets; addresses in it stay usable."""
        secrets = self._secrets
        return secrets.sub(MASK, text) if secrets is not None else text

    def text(self, text: str) -> str:
        """`text` without this worker's own secrets, and without credentials and signatures in addresses."""
        masked = self.values(text)
        for pattern, replacement in _PATTERNS:
            masked = pattern.sub(replacement, masked)
        return masked

    def record(self, value: Any) -> Any:
        """JSON-like data with every text in it, keys included, as `text` makes it; other objects become text first."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.record(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.record(inner) for inner in value]
        return value if value is None or isinstance(value, bool | int | float) else self.text(str(value))

    def answer(self, value: Any) -> Any:
        """JSON data for a caller, as `values` makes every text in it but the content of files."""
        if isinstance(value, str):
            return self.values(value)
        if isinstance(value, dict):
            return {
                key: inner if key in _CONTENT_FIELDS and isinstance(inner, str) else self.answer(inner)
                for key, inner in value.items()
            }
        return [self.answer(inner) for inner in value] if isinstance(value, list) else value


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    forms = {form for secret in secrets for part in _parts(secret) for form in _forms(part)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _parts(secret: str) -> Iterable[str]:
    yield secret
    if "://" in secret:
        try:
            password = urlsplit(secret).password
        except ValueError:
            return
        if password:
            yield password
            yield unquote(password)


def _forms(secret: str) -> Iterable[str]:
    """As it is, in an address, in JSON, in Python."""
    if len(secret) >= SECRET_MIN_CHARACTERS:
        yield from (
            secret,
            quote(secret, safe=""),
            quote(secret),
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
        )
