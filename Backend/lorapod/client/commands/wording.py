"""A worker's words for a person at the command line: options instead of fields, commands instead of actions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import typer

from lorapod.client.errors import LorapodError

#: The options of fields that have other names than the options' parameters.
_OPTIONS: Final = {
    "sample_prompts": "--sample-prompt",
    "upload": "--upload-to",
    "images": "--input",
    "dataset.urls": "--dataset-url",
    "dataset.huggingface": "--dataset-repo",
    "dataset": "--dataset",
    "quantize": "--quantize",
    "validation": "--validation",
    "stop_when.patience": "--patience",
    "stop_when.embedding_model": "--embedding-model",
    "stop_when": "--stop-when",
    "variants": "--vary",
    "limits.until": "--until",
    "limits": "--max-time",
    "datasets": "--dataset, --reg-dataset",
    "network.type": "--network",
    "network.alpha": "--alpha",
    "network.rank": "--rank",
    "config.process[0].datasets": "--dataset",
    "config.process[0].model.name_or_path": "--model",
}

#: The commands of actions that hints name.
_COMMANDS: Final = {
    "upload_training_data": "upload",
    "dataset": "dataset",
    "datasets": "datasets",
    "list_files": "files",
    "download_file": "download",
    "process_status": "status",
    "list_models": "models list",
    "list_presets": "presets",
    "processes": "processes",
    "health": "health",
    "resume": "resume",
    "cancel": "cancel",
}

#: Fields that are an option in some commands and an argument in others.
_IN_SOME: Final = {
    "loras": ("--lora",),
    "training_name": ("--dataset", "DATASET"),
    "path": ("--path", "PATH"),
}

#: What a sentence about a field begins with.
_FIELD = re.compile(r"([a-z_]+(?:[.\[\]\w]*)): ")

#: A name in backticks, alone or with a value.
_NAME = re.compile(r"`(\w+)(?:: ([^`]+))?`")


def for_a_person(error: LorapodError, context: typer.Context) -> None:
    """Change an error so that it names the command's options and other commands."""
    for detail in error.details:
        if field := detail.get("field"):
            error.message = error.message.replace(f"{field}: ", f"{_option(field, context)}: ")
    if found := _FIELD.match(error.message):
        error.message = f"{_option(found[1], context)}: {error.message[found.end() :]}"
    error.details = tuple(with_options(error.details, context))
    error.hint = with_commands(error.hint, context)


def with_commands(text: str, context: typer.Context) -> str:
    """Return a sentence with commands and options in place of the actions and fields that it names."""
    return _NAME.sub(lambda found: f"`{_said(found[1], found[2], context)}`", text)


def with_options(details: Iterable[Mapping[str, Any]], context: typer.Context) -> list[dict[str, Any]]:
    """Return a refusal's details with the command's options in place of the request's fields."""
    return [
        {**detail, "field": _option(detail["field"], context)} if "field" in detail else dict(detail)
        for detail in details
    ]


def _said(name: str, value: str | None, context: typer.Context) -> str:
    if value is None:
        return f"lorapod {_COMMANDS[name]}" if name in _COMMANDS else _option(name, context)
    option = _option(name, context)
    if option == name:
        return f"{name}: {value}"
    return option if value == "true" else f"{option} {value}"


def _option(field: str, context: typer.Context) -> str:
    for name, option in _OPTIONS.items():
        if field == name or field.startswith((f"{name}.", f"{name}[")):
            return option
    for parameter in context.command.params:
        # An argument that takes several has the field's name with an s.
        if parameter.name in {field, f"{field}s"}:
            is_option = parameter.opts[0].startswith("-")
            return parameter.opts[0] if is_option else _argument(parameter)
    shown = {name for each in context.command.params for name in (*each.opts, _argument(each))}
    for option in _IN_SOME.get(re.split(r"[.\[]", field)[0], ()):
        if option in shown:
            return option
    return field


def _argument(parameter: Any) -> str:
    """Return an argument as the help shows it."""
    return str(parameter.metavar or parameter.name).upper().strip("[]{}.")
