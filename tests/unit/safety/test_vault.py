from __future__ import annotations

from pydantic import SecretStr

from lorapod.safety.vault import Vault

TOKEN = SecretStr("the-token-of-a-caller")


def test_the_same_secret_opens_what_it_has_sealed() -> None:
    sealed = Vault(SecretStr("of the endpoint")).seal(TOKEN)
    assert TOKEN.get_secret_value() not in sealed
    assert Vault(SecretStr("of the endpoint")).open(sealed) == TOKEN


def test_another_secret_opens_nothing() -> None:
    assert Vault(SecretStr("another")).open(Vault(SecretStr("of the endpoint")).seal(TOKEN)) is None
    assert Vault().open("nothing that was ever sealed") is None


def test_without_a_secret_only_the_same_vault_opens() -> None:
    vault = Vault()
    assert vault.open(vault.seal(TOKEN)) == TOKEN
    assert Vault().open(vault.seal(TOKEN)) is None
