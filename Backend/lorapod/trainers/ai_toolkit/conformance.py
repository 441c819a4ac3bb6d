"""Compares a config with the schema: every key's place, type and choices.

AI Toolkit ignores an unknown key without a word, and finds a wrong value when it first uses it, which may be after the
first checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.ai_toolkit.schema import KeyFacts, ToolkitSchema
from lorapod.trainers.ai_toolkit.values import coerced, wrong_value
from lorapod.wire.validation import nearest

_PROCESS = "config.process[0]"
_TOP = frozenset({"job", "config", "meta"})

#: Keys that look right but belong to another trainer, by the class of the process, the section and the key.
_OTHER_TRAINERS: Mapping[tuple[str | None, str, str], str] = {
    ("ConceptSliderTrainer", "slider", "targets"): (
        ": concept_slider reads positive_prompt, negative_prompt and target_class; targets are for the legacy slider, "
        "job: train with type: slider"
    ),
}

#: Sections that every training has.
_USUAL = frozenset({"network", "save", "datasets", "train", "model", "sample", "logging"})

#: Intervals in steps, which AI Toolkit never reaches if they are null or false.
_INTERVALS = frozenset(
    {"save.save_every", "sample.sample_every", "first_sample.sample_every", "logging.log_every"}
)

#: What other trainers call a key, by its name here.
_OTHER_NAMES = {
    "alpha": "linear_alpha",
    "batch": "batch_size",
    "caption_extension": "caption_ext",
    "dim": "linear",
    "epochs": "steps",
    "image_dir": "folder_path",
    "learning_rate": "lr",
    "max_steps": "steps",
    "max_train_epochs": "steps",
    "max_train_steps": "steps",
    "mixed_precision": "dtype",
    "network_alpha": "linear_alpha",
    "network_dim": "linear",
    "num_train_epochs": "steps",
    "output_dir": "training_folder",
    "path": "folder_path",
    "pretrained_model_name_or_path": "name_or_path",
    "save_every_n_steps": "save_every",
    "train_batch_size": "batch_size",
    "trigger": "trigger_word",
    "train_data_dir": "folder_path",
}


class Conformance:
    """The comparison of one config with the schema; wrong values that mean one thing are corrected in the config."""

    def __init__(self, schema: ToolkitSchema, problems: Problems, *, strict: bool) -> None:
        """Add every difference to `problems`; if not `strict`, unknown names are warnings."""
        self._schema = schema
        self._problems = problems
        self._strict = strict

    def check(
        self,
        config: Mapping[str, Any],
        *,
        installed_types: Iterable[str] = (),
        set_by_worker: Iterable[str] = (),
    ) -> None:
        """Check a config of the right shape.

        Args:
            config: the config.
            installed_types: process types of the installation; those that the schema lacks have keys of their own.
            set_by_worker: keys of the process that its trainer need not know.
        """
        process: dict[str, Any] = config["config"]["process"][0]
        name = process.get("type")
        kind = self._schema.process_types.get(name) if isinstance(name, str) else None
        if kind is None and not (isinstance(name, str) and name in set(installed_types)):
            kind = self._schema.process_types[
                "diffusion_trainer"
            ]  # the type is refused; most likely this was meant
        section = kind.section if kind is not None else None
        self._outside(config, section)
        if section is not None:
            self._section(process, section, "", root=section, own=set_by_worker)

    def _outside(self, config: Mapping[str, Any], section: str | None) -> None:
        """Check the keys above the process."""
        for key in config:
            if key not in _TOP:
                self._unknown(key, key, _TOP, section)
        job = config.get("job")
        known = self._schema.jobs.get(job) if isinstance(job, str) else None
        for key in config["config"]:
            if known and key not in known:
                self._unknown(f"config.{key}", key, known, section)

    def _section(
        self, values: dict[str, Any], section: str, path: str, *, root: str, own: Iterable[str] = ()
    ) -> None:
        known = self._schema.keys(section)
        for key in list(values):
            place = _joined(path, key)
            facts = known.get(key)
            if facts is None:
                if key not in own:
                    self._unknown(f"{_PROCESS}.{place}", key, known, root, path)
                continue
            value = coerced(values[key], facts)
            if not self._is_right(value, facts, place):
                # Reported; the checks that follow find only values of the right type.
                del values[key]
                continue
            values[key] = value
            for inner_place, inner in _sections(value, place) if facts.section is not None else ():
                self._section(inner, facts.section or "", inner_place, root=root)

    def _is_right(self, value: Any, facts: KeyFacts, place: str) -> bool:
        """Return whether the value has a type that AI Toolkit takes; report it if not, and unknown names."""
        if place in _INTERVALS and (value is None or value is False):
            return True
        wrong = wrong_value(value, facts)
        field = f"{_PROCESS}.{place}"
        if wrong is not None:
            self._problems.add(field, wrong)
            return False
        if facts.choices:
            for word in value if isinstance(value, list) else [value]:
                if isinstance(word, str) and not _is_choice(word, facts):
                    self._name(field, word, facts)
        return True

    def _name(self, field: str, word: str, facts: KeyFacts) -> None:
        meant = nearest(word, facts.choices)
        told = f"unknown value {shown(word)!r}"
        if self._strict:
            choices = ", ".join(choice for choice in facts.choices if choice)
            self._problems.add(
                field, f"{told}, did you mean {meant!r}?" if meant else f"{told}; use one of {choices}"
            )
        else:
            self._problems.warn(f"{field}: {told}; AI Toolkit {self._schema.version} does not know it.")

    def _unknown(self, field: str, key: str, beside: Iterable[str], root: str | None, path: str = "") -> None:
        if self._strict:
            self._problems.add(field, f"unknown key{self._advice(key, beside, root, path)}")
        else:
            self._problems.warn(f"{shown(field)}: unknown key; AI Toolkit {self._schema.version} ignores it.")

    def _advice(self, key: str, beside: Iterable[str], root: str | None, path: str) -> str:
        """Return what was probably meant: a name of other trainers, a key of another section, one beside it."""
        if (root, path, key) in _OTHER_TRAINERS:
            return _OTHER_TRAINERS[root, path, key]
        beside = set(beside)
        other = _OTHER_NAMES.get(key)
        if other in beside:
            return f", did you mean {_joined(path, other)!r}?"
        places = self._elsewhere(key, root) or (self._elsewhere(other, root) if other else [])
        if places:
            return f"; it belongs elsewhere: did you mean {' or '.join(map(repr, places))}?"
        meant = nearest(key, beside)
        if meant is not None:
            return f", did you mean {_joined(path, meant)!r}?"
        names = {name for name, _ in self._schema.places(root)} if root is not None else set[str]()
        meant = nearest(key, names)
        if meant is not None:
            return f", did you mean {self._elsewhere(meant, root)[0]!r}?"
        return "; remove it, or send strict: false if AI Toolkit is newer than this worker"

    def _elsewhere(self, key: str, root: str | None) -> list[str]:
        """Return the places of a key, those of the sections that every training has if it is in one of them."""
        if root is None:
            return []
        found = [_joined(path, name) for name, path in self._schema.places(root) if name == key]
        usual = [place for place in found if place == key or place.split(".")[0] in _USUAL]
        return [key] if key in usual else (usual or found)[:3]


def _sections(value: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mappings of a section, each with its place."""
    if isinstance(value, dict):
        yield place, value
    elif isinstance(value, list):
        yield from ((f"{place}[{number}]", entry) for number, entry in enumerate(value))


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_choice(word: str, facts: KeyFacts) -> bool:
    # `model.qtype` may name an adapter behind a bar.
    name = word.split("|", maxsplit=1)[0]
    return (name.lower() if facts.any_case else name) in facts.choices
