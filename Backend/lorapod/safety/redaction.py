"""Remove secrets from everything that is written or returned."""

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

#: Shorter values are common words (`true`, `guest`): to mask them would make texts unreadable.
SECRET_MIN_CHARACTERS = 8

#: The names of query parameters that contain credentials or signatures.
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

#: Fields with the content of a file, in base64: it is the caller's own, and a change would damage it.
_CONTENT_FIELDS = frozenset({"data", "content"})


class Redactor:
    """Masks this worker's secrets, and credentials and signatures in URLs."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Mask these values, however they are quoted; if one is a URL, its password alone too."""
        self._held = Counter(secrets)
        self._lock = threading.Lock()
        self._secrets = _pattern(self._held)

    @contextmanager
    def holding(self, secrets: Iterable[str]) -> Iterator[None]:
        """Mask these values too until the end of the block: the secrets of one job. Any thread, any number at once."""
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
        """Return `text` without this worker's own secrets; URLs in it stay usable."""
        secrets = self._secrets
        return secrets.sub(MASK, text) if secrets is not None else text

    def text(self, text: str) -> str:
        """Return `text` without this worker's own secrets, and without credentials and signatures in URLs."""
        masked = self.values(text)
        for pattern, replacement in _PATTERNS:
            masked = pattern.sub(replacement, masked)
        return masked

    def record(self, value: Any) -> Any:
        """Return JSON-like data with `text` applied to every text in it, keys included; other objects become text first."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.record(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.record(inner) for inner in value]
        return value if value is None or isinstance(value, bool | int | float) else self.text(str(value))

    def answer(self, value: Any) -> Any:
        """Return JSON data for a caller with `values` applied to every text in it but the content of files."""
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
    """Yield the secret as it is, and as it is quoted in a URL, in JSON and in Python."""
    if len(secret) >= SECRET_MIN_CHARACTERS:
        yield from (
            secret,
            quote(secret, safe=""),
            quote(secret),
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
        )
