"""The container's variables as options name them: plain, from this shell, or a secret of RunPod."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lorapod.client.deploy.options import WrongOption

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")

#: How RunPod writes a reference to a secret of the account (docs.runpod.io/pods/templates/secrets).
_REFERENCE = re.compile(r"^\{\{\s*RUNPOD_SECRET_(\S+?)\s*\}\}$")


def container_variables(
    *,
    plain: Sequence[str],
    from_shell: Sequence[str],
    secrets: Sequence[str],
    shell: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables.

    Args:
        plain: `NAME=VALUE`.
        from_shell: names of variables of this shell.
        secrets: `NAME`, or `NAME=SECRET` if RunPod's secret has another name.
        shell: the variables of this shell.

    Raises:
        WrongOption: one has a wrong form, or a value on the command line seems to be secret.
    """
    found = dict(_plain(text) for text in plain)
    for name in from_shell:
        if not shell.get(name):
            raise WrongOption("--env-from", f"this shell has no variable {name}: export it first.")
        found[_checked(name, "--env-from")] = shell[name]
    for text in secrets:
        name, _, secret = text.partition("=")
        secret_name = _checked(secret or name, "--secret")
        found[_checked(name, "--secret")] = f"{{{{ RUNPOD_SECRET_{secret_name} }}}}"
    return found


def secret_reference(value: str) -> str | None:
    """Return the name of the secret of RunPod that a variable's value refers to."""
    found = _REFERENCE.match(value)
    return None if found is None else found[1]


def _plain(text: str) -> tuple[str, str]:
    name, is_assignment, value = text.partition("=")
    if not is_assignment:
        raise WrongOption("--env", f"{name} has no value: write NAME=VALUE.")
    if _SECRET_NAME.search(name) or _PASSWORD_IN_URL.search(value):
        raise WrongOption(
            "--env",
            f"{name} seems to be secret, and other users of this machine can read a command line. Use --secret "
            f"{name} for a secret of your RunPod account, or --env-from {name} for a variable of this shell.",
        )
    return _checked(name, "--env"), value


def _checked(name: str, option: str) -> str:
    if not _NAME.fullmatch(name):
        raise WrongOption(option, f"{name!r} is not the name of a variable.")
    return name
