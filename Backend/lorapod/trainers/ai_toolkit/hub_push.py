"""Decides whether a config may publish its weights: AI Toolkit's `save.push_to_hub`, which acts after the last step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.model_paths import HUB_ID
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.problems import Problems, shown

_SAVE = "config.process[0].save"
_TIMEOUT_S = 5.0


class HubPush:
    """The operator's policy `HUB_PUSH`, and the account of the worker's token."""

    def __init__(self, settings: Settings) -> None:
        """Ask the Hub for the account only once it is needed, and only once."""
        self._settings = settings
        self._account: str | None = None

    def check(self, save: Mapping[str, Any], problems: Problems) -> None:
        """Add a problem if the config publishes and may not, or could not; asks the Hub for five seconds at most."""
        if not save.get("push_to_hub"):
            return
        settings, switch = self._settings, f"{_SAVE}.push_to_hub"
        if settings.hub_push == "off":
            problems.add(
                switch,
                "is not allowed on this worker (HUB_PUSH is off); set it to false, and use `upload` to publish",
            )
        elif settings.hf_hub_offline:
            problems.add(switch, "needs the HuggingFace Hub, which HF_HUB_OFFLINE forbids; set it to false")
        elif settings.hf_token is None:
            problems.add(
                switch, "needs HF_TOKEN on the worker; without it the training would fail at its end"
            )
        else:
            self._check_repository(save.get("hf_repo_id"), problems)

    def _check_repository(self, repo_id: object, problems: Problems) -> None:
        field = f"{_SAVE}.hf_repo_id"
        if not isinstance(repo_id, str) or not HUB_ID.fullmatch(repo_id) or "/" not in repo_id:
            problems.add(field, "is required with push_to_hub: account/name")
            return
        if self._settings.hub_push == "any":
            return
        # Imported here: a worker starts without it.
        import httpx

        try:
            account = self._own_account()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            problems.add(
                f"{_SAVE}.push_to_hub", f"HuggingFace does not accept the worker's HF_TOKEN ({status})"
            )
        except (httpx.HTTPError, ValueError, KeyError):
            problems.warn(
                f"{field}: HuggingFace did not answer whether the worker's account may publish there."
            )
        else:
            if repo_id.split("/")[0] != account:
                problems.add(
                    field,
                    f"{shown(repo_id)!r} is another account's (HUB_PUSH is own); write {account}/ and a name",
                )

    def _own_account(self) -> str:
        if self._account is None:
            token = self._settings.hf_token
            assert token is not None
            import httpx

            answer = httpx.get(
                f"{self._settings.hf_endpoint.rstrip('/')}/api/whoami-v2",
                headers={"Authorization": f"Bearer {token.get_secret_value()}"},
                timeout=_TIMEOUT_S,
            )
            if answer.status_code in (401, 403):
                answer.raise_for_status()
            self._account = str(answer.json()["name"])
        return self._account
