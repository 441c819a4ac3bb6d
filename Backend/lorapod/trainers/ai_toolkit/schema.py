"""What a config of AI Toolkit may hold: keys, types, defaults, choices, models.

`schema.json` is made from AI Toolkit's sources by `scripts/toolkit_schema.py`; it names the version that it describes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, kw_only=True)
class KeyFacts:
    """What AI Toolkit reads from one key."""

    #: Some of `text`, `integer`, `number`, `boolean`, `list`, `mapping` and `null`; empty if any value may be right.
    types: frozenset[str]
    #: None if it is not known, or depends on other keys.
    default: Any = None
    #: The values that it knows; empty if it is not one of several names.
    choices: tuple[str, ...] = ()
    #: Whether the choices may be written in capitals.
    any_case: bool = False
    #: The type of each entry of a list.
    entries: str | None = None
    #: The class of its mapping, or of each mapping in its list.
    section: str | None = None
    #: Whether AI Toolkit ignores it: its own interface and examples write such keys.
    unread: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolkitModel:
    """One model as AI Toolkit's interface offers it."""

    label: str
    #: `image`, `instruction` (edits images), `video`, `audio` or `experimental`.
    group: str
    #: Values of keys below `config.process[0]`, by their dotted path; `datasets[x]` is every dataset.
    defaults: Mapping[str, Any]
    #: The page where its licence is accepted.
    gate: str | None = None
    video: bool = False
    #: Values of `model.qtype` with an adapter that makes up for the loss, by what the interface calls them.
    recovery_adapters: Mapping[str, str] = field(default_factory=dict)
    #: Further parts of the form, by the path of their key: `datasets.control_path`, `datasets.num_frames` and so on.
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProcessType:
    """One value of `config.process[0].type`."""

    job: str
    trains: bool
    #: The class with the keys of its process; None if it does not train.
    section: str | None


class ToolkitSchema:
    """The facts of `schema.json`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read a parsed document."""
        #: The version and the commit of AI Toolkit that it describes.
        self.version: str = document["version"]
        self.commit: str = document["commit"]
        #: The values of `job`, with the keys that `config` may have; none for jobs that do not train.
        self.jobs: Mapping[str, frozenset[str]] = {
            job: frozenset(keys) for job, keys in document["jobs"].items()
        }
        self.process_types: Mapping[str, ProcessType] = {
            name: ProcessType(job=kind["job"], trains=kind["trains"], section=kind.get("class"))
            for name, kind in document["process_types"].items()
        }
        self.archs = frozenset[str](document["archs"])
        #: Architectures with their own class; the others share the oldest class, which lacks newer features.
        self.own_class_archs = frozenset[str](document["own_class_archs"])
        #: Models by their name, which may have a tag: `zimage:turbo`.
        self.models: Mapping[str, ToolkitModel] = {
            name: ToolkitModel(**{**model, "sections": tuple(model.get("sections", ()))})
            for name, model in document["models"].items()
        }
        #: The flags that a sample prompt may have behind `--`, with the type of their values.
        self.prompt_flags: Mapping[str, str] = document["prompt_flags"]
        self._classes: Mapping[str, Mapping[str, KeyFacts]] = {
            name: {key: _facts(fact) for key, fact in keys.items()}
            for name, keys in document["classes"].items()
        }

    def keys(self, section: str) -> Mapping[str, KeyFacts]:
        """Return the keys of a section's class."""
        return self._classes[section]

    def key(self, place: str, process_type: str = "diffusion_trainer") -> KeyFacts:
        """Return the facts of one key, by its dotted path below the process: `train.optimizer`, `datasets.fps`.

        Raises:
            KeyError: there is no such key.
        """
        section = self.process_types[process_type].section or ""
        *parents, name = place.split(".")
        for parent in parents:
            section = self._classes[section][parent].section or ""
        return self._classes[section][name]

    def places(self, section: str, path: str = "") -> Iterator[tuple[str, str]]:
        """Yield every key below a class as its name and the dotted path of the section that has it."""
        for name, facts in self._classes[section].items():
            yield name, path
            if facts.section is not None:
                yield from self.places(facts.section, f"{path}.{name}".lstrip("."))


@cache
def toolkit_schema() -> ToolkitSchema:
    """Return the schema that the worker ships."""
    text = resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    return ToolkitSchema(json.loads(text))


def _facts(fact: Mapping[str, Any]) -> KeyFacts:
    return KeyFacts(
        types=frozenset(fact["types"]),
        default=fact.get("default"),
        choices=tuple(fact.get("choices", ())),
        any_case=fact.get("any_case", False),
        entries=fact.get("entries"),
        section=fact.get("class"),
        unread=fact.get("unread", False),
    )
