"""The `lorapod` command line: the list of its commands, and the options that name the endpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lorapod import __version__
from lorapod.client.commands import (
    caption,
    compare,
    console,
    cost,
    datasets,
    deploy,
    doctor,
    edit,
    follow,
    generate,
    info,
    inventory,
    lora_tools,
    mcp,
    models,
    presets,
    remove,
    report,
    run,
    smoke,
    steer,
    train,
    transfer,
    watch,
)
from lorapod.client.commands.session import Connection
from lorapod.endpoint.command import endpoint

#: What Typer raises for a command line that is wrong; its own name differs between versions of Typer.
UsageError: Any = typer.BadParameter.__base__


class LorapodCommands(TyperGroup):
    """The commands; those without `--via` say why they have none. A wrong command line is JSON with `--json`, and one
    line in a pipe.
    """

    def main(self, args: Sequence[str] | None = None, **options: Any) -> Any:  # type: ignore[override]
        """Run the command that the arguments name, and exit with its exit code."""
        given = sys.argv[1:] if args is None else list(args)
        as_json = "--json" in given
        if (sys.stderr.isatty() and not as_json) or options.get("standalone_mode") is False:
            return super().main(args, **options)
        try:
            code = super().main(args, **{**options, "standalone_mode": False})
        except UsageError as error:
            message = error.format_message()
            if as_json:
                sys.stdout.write(f"{json.dumps({'error': message, 'code': 'invalid_input'})}\n")
            else:
                path = error.ctx.command_path if error.ctx is not None else "lorapod"
                sys.stderr.write(f"{message}\n`{path} --help` lists the options.\n")
            sys.exit(error.exit_code)
        except typer.Abort:
            sys.stderr.write("Aborted.\n")
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that the arguments begin with, the command, and its arguments.

        Raises:
            typer.BadParameter: `--via` is given to a command that never reads the volume.
        """
        name, command, rest = super().resolve_command(ctx, args)
        reads = command is None or any(each.name == "via" for each in command.params)
        if not reads and any(each == "--via" or each.startswith("--via=") for each in rest):
            raise typer.BadParameter(f"`lorapod {name}` needs a worker: leave it out.", param_hint="--via")
        return name, command, rest


app = typer.Typer(name="lorapod", cls=LorapodCommands, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:  # noqa: FBT001 -- Typer's form of a callback
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def lorapod(
    context: typer.Context,
    *,
    url: Annotated[
        str | None,
        typer.Option(envvar="LORAPOD_URL", help="URL of the endpoint. For RunPod, --endpoint is enough."),
    ] = None,
    endpoint_id: Annotated[
        str | None,
        typer.Option("--endpoint", envvar="RUNPOD_ENDPOINT_ID", help="Id of a RunPod endpoint."),
    ] = None,
    front_door: Annotated[
        str | None,
        typer.Option(
            "--front-door-endpoint",
            envvar="LORAPOD_FRONT_DOOR",
            help="Id or URL of the CPU endpoint on the same volume, for requests that need no GPU; none: do not use it. "
            "Default: the one in lorapod.toml.",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_API_KEY", "RUNPOD_API_TOKEN", "LORAPOD_API_KEY"],
            help="API key of the endpoint. Set the variable instead of the option: other users of this machine can read "
            "a command line.",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and use LoRAs through RunPod's queue API, on RunPod or on this machine."""
    context.obj = Connection(url=url, endpoint_id=endpoint_id, front_door=front_door, api_key=api_key)


COMMANDS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Data": (
        transfer.upload,
        transfer.files,
        transfer.download,
        *(datasets.datasets, datasets.dataset, datasets.inspect, edit.edit, caption.caption),
        remove.rm,
        remove.du,
    ),
    "Training": (
        *(run.run, train.train, presets.presets, follow.status, follow.logs, follow.processes),
        *(steer.cancel, steer.resume, steer.save, steer.sample, report.report, watch.watch),
    ),
    "Generation": (
        *(generate.generate, compare.compare, smoke.smoke),
        *(lora_tools.merge, lora_tools.resize, lora_tools.convert),
    ),
    "Endpoint": (
        console.console,
        deploy.deploy,
        doctor.doctor,
        cost.cost,
        endpoint,
        info.health,
        info.ping,
        info.schema,
        models.keep_alive,
        inventory.inventory,
        mcp.mcp,
    ),
}

for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(models.app, rich_help_panel="Generation")


def main() -> None:
    """The console script."""
    app()
