"""Write what AI Toolkit's configs may hold into the file that the worker reads, from a checkout of AI Toolkit.

Run as `python scripts/toolkit_schema.py CHECKOUT --write | --check`, for sources without a history with `--commit`. The file has facts only: names of keys, types,
defaults and choices, with the version and the commit that they describe.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from toolkit_facts.checkout import Checkout
from toolkit_facts.choices import ANY_CASE, choices, prompt_flags
from toolkit_facts.forms import Key
from toolkit_facts.interface import default_config, models, offered
from toolkit_facts.keys import KeyReader, complete_types, types_of
from toolkit_facts.registry import archs, jobs, process_types

FILE = Path(__file__).parents[1] / "Backend/lorapod/trainers/ai_toolkit/schema.json"

#: The jobs whose keys beside the process are checked.
_TRAINING_JOBS = ("extension", "train")

#: What a config names in this checkout's own examples.
_EXAMPLES = ("config/examples/**/*.y*ml", "extensions*/*/config/*.y*ml")


def schema(checkout: Checkout, commit: str | None = None) -> dict[str, Any]:
    """Return the facts about configs for the checkout's version; `commit` names it if it has no history."""
    types = process_types(checkout)
    reader = KeyReader(checkout)
    classes: dict[str, dict[str, Key]] = {}
    waiting = sorted({kind.process for kind in types.values() if kind.trains})
    waiting.append("SampleConfig")
    while waiting:
        name = waiting.pop()
        if name not in classes:
            classes[name] = reader.of_class(name)
            waiting += [key.section for key in classes[name].values() if key.section is not None]
    for function in checkout.functions("preprocess_dataset_raw_config"):
        for name, key in reader.of_function(function).items():
            classes["DatasetConfig"][name].merge(key)
    complete_types(classes)
    own, listed = archs(checkout)
    found = models(checkout)
    document = {
        "version": checkout.version,
        "commit": checkout.commit() or commit,
        "jobs": {
            job: sorted({"process", *reader.of_class(f"{job.title()}Job")}) if job in _TRAINING_JOBS else []
            for job in jobs(checkout)
        },
        "process_types": {
            name: {"job": kind.job, "trains": kind.trains} | ({"class": kind.process} if kind.trains else {})
            for name, kind in types.items()
        },
        "archs": sorted(own | listed | {name.split(":")[0] for name in found}),
        "own_class_archs": sorted(own),
        "models": found,
        "prompt_flags": prompt_flags(checkout),
        "classes": {name: {key: _fact(fact) for key, fact in keys.items()} for name, keys in classes.items()},
    }
    _add_choices(document, checkout)
    _add_unread(document, checkout)
    return document


def _fact(key: Key) -> dict[str, Any]:
    fact: dict[str, Any] = {"types": sorted(key.types)}
    if key.default is not ...:
        fact["default"] = key.default
    if key.choices:
        fact["choices"] = sorted(key.choices)
    if key.entries is not None:
        fact["entries"] = key.entries
    if key.section is not None:
        fact["class"] = key.section
    return fact


def _add_choices(document: dict[str, Any], checkout: Checkout) -> None:
    """Add the choices that the code, the interface and the examples show, and the defaults."""
    found = {place: set(words) for place, words in choices(checkout).items()}
    for config in (*_examples(checkout), default_config(checkout)):
        for name, key, value in _values(document, config):
            if (name, key) in found and isinstance(value, str):
                found[name, key].add(value.split("|")[0])
    process = document["classes"][document["process_types"]["diffusion_trainer"]["class"]]
    for place, value in offered(checkout):
        section, key = place.split(".")
        if (process[section]["class"], key) in found:
            found[process[section]["class"], key].add(value)
    for (name, key), words in found.items():
        fact = document["classes"][name][key]
        words |= set(fact.get("choices", ()))
        if isinstance(fact.get("default"), str):
            words.add(fact["default"])
        fact["choices"] = sorted(words)
        if (name, key) in ANY_CASE:
            fact["any_case"] = True
    del document["classes"]["ModelConfig"]["arch"]["choices"]  # all are in `archs`


def _add_unread(document: dict[str, Any], checkout: Checkout) -> None:
    """Add keys that the interface and the examples write although nothing reads them, and types that only they show."""
    for kind in document["process_types"].values():
        if kind["trains"]:
            for key in ("type", "device"):
                document["classes"][kind["class"]].setdefault(key, {"types": ["text"], "unread": True})
    for config in (*_examples(checkout), default_config(checkout)):
        for name, key, value in list(_values(document, config)):
            fact = document["classes"][name].setdefault(key, {"types": [], "unread": True})
            if not set(fact["types"]) - {"null"} and value is not None:
                fact["types"] = sorted(types_of(value) | {"null"})


def _values(document: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield class, key and value of everything in the first process of a training's config."""
    process = config["config"]["process"][0]
    kind = document["process_types"].get(process["type"])
    if kind is not None and kind["trains"] and kind["job"] == config["job"]:
        yield from _inside(document, kind["class"], process)


def _inside(
    document: Mapping[str, Any], name: str, values: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    for key, value in values.items():
        yield name, key, value
        inner = document["classes"][name].get(key, {}).get("class")
        if inner is not None:
            for entry in value if isinstance(value, list) else [value]:
                if isinstance(entry, dict):
                    yield from _inside(document, inner, entry)


def _examples(checkout: Checkout) -> list[dict[str, Any]]:
    """Return the checkout's example configs, without those that are not valid YAML."""
    found = []
    for path in sorted(path for pattern in _EXAMPLES for path in checkout.root.glob(pattern)):
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError:
            continue
        if isinstance(config, dict) and "process" in config.get("config", {}):
            found.append(config)
    return found


def text(document: Mapping[str, Any]) -> str:
    """Return the file's content."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--commit", help="what the sources are, if they have no history")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true")
    what.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    made = text(schema(Checkout(arguments.checkout), arguments.commit))
    if arguments.write:
        FILE.write_text(made, encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == made:
        return 0
    sys.stderr.write(f"{FILE} differs: run this script with --write\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
