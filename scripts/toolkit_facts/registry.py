"""The registries of AI Toolkit: its jobs, its trainers and other process types, and its model architectures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from toolkit_facts.checkout import Checkout, text_of

#: The base of everything that trains.
_TRAINS = "BaseTrainProcess"


@dataclass(frozen=True, kw_only=True)
class ProcessType:
    """One value of `config.process[0].type`."""

    job: str
    process: str
    trains: bool


def process_types(checkout: Checkout) -> dict[str, ProcessType]:
    """Return the process types by name."""
    found: dict[str, ProcessType] = {}
    for job, name, process in (*_extensions(checkout), *_legacy(checkout)):
        if process in checkout.classes:
            bases = {node.name for node in checkout.bases(process)}
            found[name] = ProcessType(job=job, process=process, trains=_TRAINS in bases)
    return found


def jobs(checkout: Checkout) -> list[str]:
    """Return the values of `job`, sorted."""
    return sorted(
        {
            word
            for node in checkout.functions("get_job")
            for compare in ast.walk(node)
            if isinstance(compare, ast.Compare)
            and isinstance(compare.left, ast.Name)
            and (word := text_of(compare.comparators[0])) is not None
        }
    )


def archs(checkout: Checkout) -> tuple[set[str], set[str]]:
    """Return the architectures with a class of their own, and those that a list of types names."""
    own, listed = set[str](), set[str]()
    for module in checkout.modules:
        for node in ast.walk(module):
            match node:
                case ast.ClassDef(body=body):
                    own |= {word for name, word in _class_texts(body) if name == "arch"}
                case ast.Assign(
                    targets=[ast.Name(id="ModelArch")], value=ast.Subscript(slice=ast.Tuple(elts=members))
                ):
                    listed |= {word for member in members if (word := text_of(member)) is not None}
    return own, listed


def _class_texts(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for line in body:
        match line:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                word = text_of(value)
                if word is not None:
                    yield name, word


def _extensions(checkout: Checkout) -> Iterator[tuple[str, str, str]]:
    """Yield job, name and class of each process type that an extension registers."""
    for module in checkout.modules:
        for node in module.body:
            if not isinstance(node, ast.ClassDef):
                continue
            for name, word in _class_texts(node.body):
                if name == "uid":
                    for base in (node, *checkout.bases(node.name)):
                        process = _returned(base)
                        if process is not None:
                            yield "extension", word, process
                            break


def _returned(extension: ast.ClassDef) -> str | None:
    for node in ast.walk(extension):
        match node:
            case ast.FunctionDef(name="get_process", body=[*_, ast.Return(value=ast.Name(id=process))]):
                return process
    return None


def _legacy(checkout: Checkout) -> Iterator[tuple[str, str, str]]:
    """Yield the same for the job `train`, whose table names the classes."""
    tree = ast.parse(checkout.text("jobs/TrainJob.py"))
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="process_dict")], value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    name, process = text_of(key), text_of(value)
                    if name is not None and process is not None:
                        yield "train", name, process
