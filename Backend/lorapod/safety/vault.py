"""Secrets that have to lie on a disk, sealed."""

from __future__ import annotations

import base64
import hashlib
import secrets
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_SALT = b"lorapod: secrets of requests"


class Vault:
    """Seals texts so that only whoever has the same key opens them: AES and HMAC, as Fernet puts them together.

    The key is drawn from a secret of the environment, the same for every worker that has it. Without one it is made
    up, lies nowhere but in this object, and dies with it.
    """

    def __init__(self, secret: SecretStr | None = None) -> None:
        """Nothing is computed yet."""
        self._secret = secret

    @cached_property
    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet

        if self._secret is None:
            key = secrets.token_bytes(32)
        else:
            key = hashlib.scrypt(
                self._secret.get_secret_value().encode(), salt=_SALT, n=1 << 14, r=8, p=1, dklen=32
            )
        return Fernet(base64.urlsafe_b64encode(key))

    def seal(self, secret: SecretStr) -> str:
        """What may lie on a disk."""
        return self._fernet.encrypt(secret.get_secret_value().encode()).decode()

    def open(self, sealed: str) -> SecretStr | None:
        """The secret again; None where it was sealed with another key, or is damaged."""
        from cryptography.fernet import InvalidToken

        try:
            return SecretStr(self._fernet.decrypt(sealed.encode()).decode())
        except InvalidToken:
            return None
