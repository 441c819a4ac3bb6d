"""The typed keywords of the Python client, `lorapod.client.options`, from the requests of the actions."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from lorapod.actions.registry import ACTIONS
from lorapod.wire.dataset import DatasetRef
from lorapod.wire.generation import LoraRef
from lorapod.wire.knobs import NetworkKnob, TrainKnobs, ValidationKnob
from python_client.source import HEADER, formatted

#: Classes of the keywords by their model; what is not here has the model's name.
_NAMES: Final[Mapping[type[BaseModel], str]] = {
    DatasetRef: "Dataset",
    LoraRef: "Lora",
    NetworkKnob: "Network",
    TrainKnobs: "Variant",
    ValidationKnob: "Validation",
}

#: How a caller of the client gives a file: by its path on this machine, or as a request holds it.
_FILE: Final = "str | os.PathLike[str]"
_FILE_FIELDS: Final = frozenset({"image", "mask", "video", "audio"})
_FILE_LISTS: Final = frozenset({"images", "videos", "audios"})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The keywords of one method of the client."""

    name: str
    action: str
    #: Fields that the method has as parameters of its own, or sets itself.
    without: frozenset[str] = frozenset()


#: By the module of each.
MODULES: Final[Mapping[str, tuple[Options | type[BaseModel], ...]]] = {
    "knobs": (TrainKnobs,),
    "training": (
        Options(name="TrainOptions", action="train", without=frozenset({"dry_run"})),
        Options(name="ResumeOptions", action="resume", without=frozenset({"process_id", "steps"})),
    ),
    "generation": (
        Options(name="GenerateOptions", action="generate", without=frozenset({"prompt", "wait"})),
    ),
    "comparison": (
        Options(name="CompareOptions", action="compare", without=frozenset({"process_ids", "wait"})),
    ),
    "lora_tools": (
        Options(name="MergeLorasOptions", action="merge_loras", without=frozenset({"name", "loras", "wait"})),
        Options(name="ResizeLoraOptions", action="resize_lora", without=frozenset({"name", "wait"})),
        Options(name="ConvertLoraOptions", action="convert_lora", without=frozenset({"name", "wait"})),
    ),
}


def modules() -> Mapping[str, str]:
    """Return the modules of the options as they must be, by file name."""
    made: dict[str, str] = {}
    known: dict[str, str] = {}
    for module, options in MODULES.items():
        writer = _Writer(known)
        for each in options:
            writer.add(each)
        known |= dict.fromkeys(writer.classes, module)
        made[f"{module}.py"] = formatted(writer.text(module))
    names = sorted(known)
    imports = "\n".join(f"from lorapod.client.options.{known[name]} import {name}" for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    made["__init__.py"] = formatted(
        f'"""Typed keywords of the client\'s methods. {HEADER}"""\n\n{imports}\n\n__all__ = [{listed}]\n'
    )
    return made


class _Writer:
    """Writes the classes of one module."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """`known`: classes of the modules before, with their modules."""
        self.classes: dict[str, str] = {}
        self._known = known
        self._used: set[str] = set()

    def add(self, options: Options | type[BaseModel]) -> None:
        """Add a class, and those that it is made of."""
        if not isinstance(options, Options):
            self._nested(options)
            return
        model = ACTIONS[options.action].request
        fields = {name: each for name, each in model.model_fields.items() if name not in options.without}
        base = TrainKnobs if issubclass(model, TrainKnobs) else None
        rows = []
        for name, each in fields.items():
            if base is not None and name in base.model_fields:
                continue
            shown = self._shown(each.annotation, name)
            if "None" not in shown.split(" | "):
                shown += " | None"
            rows.append((name, shown, each.description))
        parent = "TypedDict" if base is None else self._nested(base)
        summary = f"Keywords of `{options.action}`."
        self.classes[options.name] = _class(options.name, parent, summary, rows)

    def text(self, module: str) -> str:
        """Return the module."""
        body = "\n\n".join(self.classes.values())
        imports = [
            f"from lorapod.client.options.{self._known[name]} import {name}" for name in sorted(self._used)
        ]
        typing = [name for name in ("Any", "Literal", "Required", "TypedDict") if _uses(body, name)]
        return "\n".join(
            [
                f'"""Typed keywords of the client\'s methods: {module.replace("_", " ")}. {HEADER}"""',
                "",
                "from __future__ import annotations",
                "",
                *(["import os"] if "os.PathLike" in body else []),
                *(["from collections.abc import Sequence"] if "Sequence[" in body else []),
                f"from typing import {', '.join(typing)}",
                "",
                *imports,
                "",
                body,
            ]
        )

    def _nested(self, model: type[BaseModel]) -> str:
        """Return the name of a class for objects in a request; add the class if no module has it."""
        name = f"{_NAMES.get(model, model.__name__)}Options"
        if name in self._known:
            self._used.add(name)
        elif name not in self.classes:
            rows = []
            for field, each in model.model_fields.items():
                shown = self._shown(each.annotation, field)
                rows.append((field, f"Required[{shown}]" if each.is_required() else shown, each.description))
            self.classes[name] = _class(
                name, "TypedDict", (model.__doc__ or "").strip().splitlines()[0], rows
            )
        return name

    def _shown(self, annotation: Any, name: str) -> str:
        """Return an annotation as the client has it; `name` is the field's."""
        if name in _FILE_FIELDS:
            return f"{_FILE} | None"
        shown = " | ".join(dict.fromkeys(self._choices(annotation)))
        if name in _FILE_LISTS:
            return shown.replace("Sequence[", "Sequence[os.PathLike[str] | ")
        return shown

    def _choices(self, annotation: Any) -> Iterator[str]:
        """Yield the types of a union, or the one of another annotation."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            yield from self._choices(arguments[0])
        elif origin in {Union, UnionType}:
            found = [choice for each in arguments for choice in self._choices(each)]
            texts = "str" in found
            # `Literal["all"] | str` is `str`.
            yield from (
                each for each in found if each != "None" and not (texts and each.startswith("Literal"))
            )
            yield from ("None" for each in found if each == "None")
        elif origin is None:
            yield self._plain(annotation)
        else:
            yield self._of_several(origin, arguments)

    def _of_several(self, origin: Any, arguments: tuple[Any, ...]) -> str:
        if origin is Literal:
            return f"Literal[{', '.join(map(repr, arguments))}]"
        shown = [" | ".join(self._choices(each)) for each in arguments]
        if origin is list:
            # A text is a sequence of texts, and nobody means that.
            return f"list[{shown[0]}]" if shown == ["str"] else f"Sequence[{shown[0]}]"
        assert origin is dict, f"no request has a {origin} yet"
        return f"dict[{', '.join(shown)}]"

    def _plain(self, annotation: Any) -> str:
        if annotation in {NoneType, None}:
            return "None"
        if annotation is Any:
            return "Any"
        if issubclass(annotation, BaseModel):
            return self._nested(annotation)
        if issubclass(annotation, Enum):
            return f"Literal[{', '.join(repr(each.value) for each in annotation)}]"
        return "str" if issubclass(annotation, SecretStr | dt.datetime) else str(annotation.__name__)


def _class(name: str, parent: str, summary: str, rows: list[tuple[str, str, str | None]]) -> str:
    lines = [f"class {name}({parent}, total=False):", f'    """{summary}"""', ""]
    for field, shown, description in rows:
        lines.append(f"    {field}: {shown}")
        if description:
            lines += textwrap.indent(
                textwrap.fill(f'"""{description.replace(chr(92), chr(92) * 2)}"""', 110), "    "
            ).splitlines()
    return "\n".join([*lines, "", ""])


def _uses(body: str, name: str) -> bool:
    return f"{name}[" in body or f"({name}," in body or f" {name}]" in body or f"{name} |" in body
