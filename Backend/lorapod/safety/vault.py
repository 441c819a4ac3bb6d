"""Encrypt secrets that have to be stored on a disk."""

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
    """Encrypts texts with a key, as Fernet does (AES and HMAC).

    The key is derived from a secret of the environment, so all workers with that secret have the same one. Without a
    secret, the key is random and exists only in this object.
    """

    def __init__(self, secret: SecretStr | None = None) -> None:
        """Compute nothing yet."""
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
        """Return the secret in encrypted form."""
        return self._fernet.encrypt(secret.get_secret_value().encode()).decode()

    def open(self, sealed: str) -> SecretStr | None:
        """Return the decrypted secret; None if it was encrypted with another key, or is damaged."""
        from cryptography.fernet import InvalidToken

        try:
            return SecretStr(self._fernet.decrypt(sealed.encode()).decode())
        except InvalidToken:
            return None
