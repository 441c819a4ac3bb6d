"""The fields of a training's request, from the options of `train`."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import typer

from lorapod.wire.stop_when import StopMeasure

#: A training, alone or with one of its steps.
_PROCESS = re.compile(r"(?P<id>train_[0-9a-f]{12})(?::(?P<step>[0-9]{1,9}))?")


def config_text(config: Path) -> str:
    """Return a config's text.

    Raises:
        typer.BadParameter: it is not text.
    """
    data = config.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise typer.BadParameter(
            f"{config} is not text in UTF-8; save it as YAML in UTF-8", param_hint="--config"
        ) from None


def named_dataset(
    name: str | None, urls: list[str] | None, repo: str | None, *, fix: bool
) -> dict[str, Any] | None:
    """Return the request's `dataset`.

    Raises:
        typer.BadParameter: several are named, or `fix` does not go with it.
    """
    named = {
        key: value
        for key, value in {
            "training_name": name,
            "urls": urls or None,
            "huggingface": None if repo is None else {"repo_id": repo},
        }.items()
        if value is not None
    }
    if len(named) > 1:
        raise typer.BadParameter(
            "name the dataset with only one of --dataset, --dataset-url and --dataset-repo",
            param_hint="--dataset",
        )
    if fix and (not named or name is not None):
        raise typer.BadParameter(
            "images on the worker are left as they are; upload them again with `lorapod upload --fix`",
            param_hint="--fix",
        )
    return {**named, "fix": True} if fix else named or None


def dataset_fields(dataset: dict[str, Any] | None, regularisation: list[str] | None) -> dict[str, Any]:
    """Return the request's `dataset`, or its `datasets` if there are some for regularisation."""
    if not regularisation:
        return {"dataset": dataset}
    if dataset is None or "training_name" not in dataset:
        raise typer.BadParameter(
            "goes with --dataset, the name of a dataset on the worker", param_hint="--reg-dataset"
        )
    reg = [{"training_name": name, "is_reg": True} for name in regularisation]
    return {"datasets": [{"training_name": dataset["training_name"]}, *reg]}


def start_from_field(text: str) -> dict[str, Any]:
    """Return `start_from`: a training, `ID:STEP`, or a path."""
    found = _PROCESS.fullmatch(text)
    if found is None:
        return {"path": text}
    step = found["step"]
    return {"process_id": found["id"], **({"step": int(step)} if step else {})}


def one_or_more(sides: list[int] | None) -> int | list[int] | None:
    """Return a single value alone."""
    return sides[0] if sides and len(sides) == 1 else sides or None


def json_object(text: str | None) -> dict[str, Any] | None:
    """Return what `--upload-to` says.

    Raises:
        typer.BadParameter: it is not a JSON object.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not valid JSON: {error}", param_hint="--upload-to") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--upload-to")
    return value


def stop_when_field(
    measure: StopMeasure | None, patience: int | None, embedding_model: str | None
) -> dict[str, Any] | None:
    """Return the request's `stop_when`; None if no option of it is given.

    Raises:
        typer.BadParameter: the model has nothing to measure.
    """
    if embedding_model is not None and measure is not StopMeasure.LIKENESS:
        raise typer.BadParameter("goes with --stop-when likeness", param_hint="--embedding-model")
    given = {
        "no_better": None if measure is None else measure.value,
        "patience": patience,
        "embedding_model": embedding_model,
    }
    return {name: value for name, value in given.items() if value is not None} or None
