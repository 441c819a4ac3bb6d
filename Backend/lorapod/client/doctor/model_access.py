"""Whether a HuggingFace token may read a gated base model."""

from __future__ import annotations

from urllib.parse import quote

from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.client.http import ConnectFailed, ConnectionBroken, PooledSender, Timeouts

DEFAULT_HUB = "https://huggingface.co"


def model_access(model: str, token: str, *, hub: str = DEFAULT_HUB) -> Finding:
    """Ask the Hub whether the account of the token accepted the model's terms."""
    repository = "/".join(model.split("/")[:2])
    sender = PooledSender(Timeouts(connect_s=5, read_s=15))
    try:
        answer = sender.send(
            "GET",
            f"{hub.rstrip('/')}/api/models/{quote(repository)}/auth-check",
            headers={"Authorization": f"Bearer {token}"},
            body=None,
            wait_s=0,
        )
    except (ConnectFailed, ConnectionBroken) as error:
        return note("gated model", f"The HuggingFace Hub could not be asked about {repository}: {error}.")
    finally:
        sender.close()
    page = f"https://huggingface.co/{repository}"
    match answer.status:
        case 200:
            return ok("gated model", f"This shell's HF_TOKEN may read {repository}.")
        case 401:
            return problem(
                "gated model",
                "The HuggingFace Hub does not accept this shell's HF_TOKEN.",
                mend="Make a new token at https://huggingface.co/settings/tokens",
            )
        case 403:
            return problem(
                "gated model",
                f"The account of HF_TOKEN has not accepted the terms of {repository}.",
                mend=f"Accept them at {page}; a fine-grained token also needs read access to gated repositories.",
            )
        case status:
            return note("gated model", f"The HuggingFace Hub answered {status} about {repository}.")
