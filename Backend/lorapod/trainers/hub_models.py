"""Ask the HuggingFace Hub, before a GPU is used, whether this worker may read a training's models."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from lorapod.cached_models import CachedModels
from lorapod.errors import InvalidInput
from lorapod.setting_groups.models import PUBLIC_HUB
from lorapod.settings import Settings

#: Seconds for the Hub's answer about one model: a Hub that is away must not keep a request waiting.
ANSWER_S: Final = 4.0

#: Seconds for which a model that may be read is not asked for again.
TRUSTED_S: Final = 600.0

#: The keys of a config's `model` that name a repository, or a file in one.
_KEYS: Final = (
    "name_or_path",
    "extras_name_or_path",
    "te_name_or_path",
    "vae_path",
    "assistant_lora_path",
    "unconditional_lora_path",
)
_REPOSITORY: Final = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:/[\w.-]+)*"
)


class HubModels:
    """What the Hub says of models; used by many threads."""

    def __init__(self, settings: Settings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet; the settings name the Hub, its token and the folder of what was downloaded."""
        self._settings = settings
        self._monotonic = monotonic
        #: When a repository could last be read.
        self._readable: dict[str, float] = {}

    def check(self, config: Mapping[str, Any]) -> list[str]:
        """Refuse a config whose models this worker may not read, and return warnings; block for seconds at most.

        Models on this worker are not asked for, nor any if `HF_HUB_OFFLINE` is set.

        Raises:
            InvalidInput: a model is gated or does not exist; it names the page where the terms are accepted.
        """
        if self._settings.hf_hub_offline:
            return []
        refusals: list[InvalidInput] = []
        warnings: list[str] = []
        for field, repository in self._named(config):
            try:
                warning = self._ask(repository, field)
            except InvalidInput as error:
                refusals.append(error)
                continue
            if warning is not None:
                # The other models would make the caller wait as long.
                warnings.append(warning)
                break
        if refusals:
            raise InvalidInput(
                " ".join(error.message for error in refusals),
                hint=refusals[0].hint,
                details=[detail for error in refusals for detail in error.details],
            )
        return warnings

    def _named(self, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the repositories of a config that are not on this worker, each once, with the key that names it."""
        match config:
            case {"config": {"process": [{"model": dict() as model}, *_]}}:
                seen: set[str] = set()
                for key in _KEYS:
                    named = _REPOSITORY.fullmatch(str(model.get(key) or ""))
                    if named is None or named["repository"] in seen:
                        continue
                    seen.add(named["repository"])
                    if not self._is_here(named["repository"]):
                        yield f"config.process[0].model.{key}", named["repository"]

    def _is_here(self, repository: str) -> bool:
        asked = self._readable.get(repository)
        if asked is not None and self._monotonic() - asked < TRUSTED_S:
            return True
        return CachedModels.of(self._settings).find(repository) is not None

    def _ask(self, repository: str, field: str) -> str | None:
        """Return a warning if the Hub does not tell.

        Raises:
            InvalidInput: this worker may not read the model.
        """
        # Imported here: a worker starts without it.
        import httpx

        endpoint, token = self._settings.hf_endpoint.rstrip("/"), self._settings.hf_token
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
        try:
            # huggingface_hub's own `auth_check` asks the same, but takes no timeout.
            with httpx.Client(timeout=ANSWER_S, follow_redirects=True, verify=_certificates()) as http:
                answer = http.get(f"{endpoint}/api/models/{repository}/auth-check", headers=headers)
        except httpx.HTTPError as error:
            return (
                f"The HuggingFace Hub did not answer ({type(error).__name__}): whether this worker may read the model "
                f"{repository} is not known."
            )
        if answer.is_success:
            self._readable[repository] = self._monotonic()
            return None
        said = answer.headers.get("X-Error-Code", "")
        page = f"{PUBLIC_HUB}/{repository}"
        if said == "GatedRepo":
            raise _refusal(
                field,
                f"The model {repository} is gated, and {_holder(token is not None)}.",
                f"Accept its terms on {page}"
                + (
                    " with the account of HF_TOKEN."
                    if token is not None
                    else ", and set HF_TOKEN on the endpoint to a token of the account that did."
                ),
                f"gated: accept its terms on {page}",
            )
        if said == "RepoNotFound":
            raise _refusal(
                field,
                f"The HuggingFace Hub has no model {repository}, or this worker may not see it.",
                f"Check the name on {page}; a private model needs HF_TOKEN of an account that may read it.",
                "is not on the HuggingFace Hub, or not for this worker",
            )
        if answer.status_code in {401, 403} and token is not None and endpoint == PUBLIC_HUB:
            raise _refusal(
                field,
                f"The HuggingFace Hub does not accept this worker's HF_TOKEN ({answer.status_code}).",
                "Set HF_TOKEN on the endpoint to a valid token, or unset it.",
                "cannot be read with this worker's HF_TOKEN",
            )
        return (
            f"The HuggingFace Hub answered {answer.status_code}: whether this worker may read the model {repository} "
            "is not known."
        )


@cache
def _certificates() -> ssl.SSLContext:
    """Read the certificates once: it takes a tenth of a second."""
    import httpx

    return httpx.create_ssl_context()


def _holder(has_token: bool) -> str:  # noqa: FBT001 -- a fact to word, not a switch
    return (
        "the account of this worker's HF_TOKEN may not read it"
        if has_token
        else "this worker has no HF_TOKEN"
    )


def _refusal(field: str, message: str, hint: str, detail: str) -> InvalidInput:
    return InvalidInput(message, hint=hint, details=[{"field": field, "error": detail}])
