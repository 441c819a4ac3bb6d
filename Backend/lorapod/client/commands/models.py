"""`models` and `keep-alive`: the models of the volume, and a worker that stays up."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lorapod.client.commands.endings import ended
from lorapod.client.commands.live import follow
from lorapod.client.commands.screen import size
from lorapod.client.commands.session import AsJson, open_session
from lorapod.client.commands.train import EXECUTION_TIMEOUT_S

app = typer.Typer(
    name="models", no_args_is_help=True, help="List, describe, download and edit the models of the volume."
)

Kind = Annotated[str | None, typer.Option(help="Kind of model: lora, checkpoint, vae, …")]
Engine = Annotated[str | None, typer.Option(help="Use the models of this engine, e.g. swarmui.")]


@app.command("list")
def list_models(
    context: typer.Context, *, kind: Kind = None, engine: Engine = None, as_json: AsJson = False
) -> None:
    """List models, trained LoRAs included."""
    with open_session(context, as_json=as_json) as session:
        models: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = session.client.call("list_models", kind=kind, engine=engine, cursor=cursor)
            models += page["models"]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        if as_json:
            session.screen.answer({"models": models})
            return
        rows = [
            (
                one["name"],
                one.get("kind") or "",
                size(one["size_bytes"]) if one.get("size_bytes") else "",
                one.get("path") or "",
            )
            for one in models
        ]
        session.screen.table(("model", "kind", "size", "path"), rows, right=(2,), whole=(0, 3))


@app.command()
def describe(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or path of the model.")],
    *,
    kind: Kind = None,
    engine: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's card."""
    with open_session(context, as_json=as_json) as session:
        session.screen.answer(session.client.call("describe_model", model=model, kind=kind, engine=engine))


@app.command()
def fetch(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="hf://owner/repo/file, or an https URL.")],
    *,
    kind: Annotated[str, typer.Option(help="Kind of model: lora, checkpoint, vae, …")] = "checkpoint",
    name: Annotated[str | None, typer.Option(help="Name for the file.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The sha256 that the file must have.")] = None,
    engine: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Download a model to the volume, and follow the download."""
    with open_session(context, as_json=as_json) as session:
        started = session.client.start(
            "download_model",
            execution_timeout_s=EXECUTION_TIMEOUT_S,
            source=source,
            kind=kind,
            name=name,
            sha256=sha256,
            engine=engine,
        )
        ended(follow(session.client, started.process_id, session.screen))


@app.command()
def edit(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or path of the model.")],
    changes: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="e.g. title='My style'.")],
    *,
    kind: Kind = None,
    engine: Engine = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of a model's card."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call("edit_model", model=model, kind=kind, engine=engine, **_fields(changes))
        session.screen.answer(answer)


@app.command()
def publish(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or path of the model.")],
    repository: Annotated[str, typer.Argument(help="Repository on the HuggingFace Hub, e.g. me/my-cat.")],
    *,
    public: Annotated[
        bool, typer.Option("--public", help="Let everyone see a repository that is made now.")
    ] = False,
    samples: Annotated[bool, typer.Option(help="Send the newest samples of its training too.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a model on the HuggingFace Hub, with a card."""
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call(
            "publish_model",
            model=model,
            huggingface={"repo_id": repository, "private": not public},
            samples=samples,
            dry_run=dry_run or None,
        )
        if as_json:
            session.screen.answer(answer)
            return
        for name in [answer["file"], *answer["samples"]]:
            session.screen.line(name)
        session.screen.line(f"{'would be' if dry_run else 'are'} at {answer['url']}")


def keep_alive(
    context: typer.Context,
    *,
    duration_s: Annotated[
        float | None,
        typer.Option("--for", min=1, help="Seconds to keep it running. Default: until it is idle."),
    ] = None,
    interval_s: Annotated[
        float | None, typer.Option("--interval", min=1, help="Seconds between two checks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a worker running, so that RunPod does not stop it."""
    until_idle = True if duration_s is None else None
    with open_session(context, as_json=as_json) as session:
        answer = session.client.call(
            "keep_alive", duration_s=duration_s, until_idle=until_idle, interval_s=interval_s
        )
        if as_json:
            session.screen.answer(answer)
        session.screen.line(f"The worker was held for {answer['kept_alive_s']:.0f} s")


def _fields(changes: list[str]) -> dict[str, Any]:
    """Return the changes by field. A list, or null for a field to remove, is JSON; anything else is text."""
    fields: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{change!r} is not FIELD=VALUE", param_hint="FIELD=VALUE")
        try:
            fields[name] = json.loads(value) if value == "null" or value.startswith("[") else value
        except ValueError as error:
            raise typer.BadParameter(
                f"{value!r} is not a valid JSON list: {error}", param_hint="FIELD=VALUE"
            ) from None
    return fields
