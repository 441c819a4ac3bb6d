"""That each image says what it is, in the labels that registries read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
TARGETS = ("worker", "comfyui", "swarmui", "full", "light", "fast")
_LABEL = re.compile(r'org\.opencontainers\.image\.(?P<name>\w+)="(?P<value>[^"]*)"')


@dataclass
class Stage:
    base: str
    labels: dict[str, str] = field(default_factory=dict)
    arguments: set[str] = field(default_factory=set)


def stages() -> Mapping[str, Stage]:
    found: dict[str, Stage] = {}
    name, stage = "", Stage(base="")
    for line in DOCKERFILE.read_text("utf-8").replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = stage = Stage(base=base)
        elif word == "ARG":
            stage.arguments.add(rest.partition("=")[0])
        elif word == "LABEL":
            values = {match["name"]: match["value"] for match in _LABEL.finditer(rest)}
            stage.labels |= values
            used = set(re.findall(r"\$\{(\w+)\}", " ".join(values.values())))
            assert used <= stage.arguments, f"{name}: an argument must be declared in the stage that uses it"
    return found


def labels_of(target: str) -> dict[str, str]:
    """The labels of an image, with those that it inherits."""
    stage = stages().get(target)
    return labels_of(stage.base) | stage.labels if stage is not None else {}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_names_version_commit_source_and_licence(target: str) -> None:
    labels = labels_of(target)

    assert labels["title"].startswith("lorapod")
    assert labels["description"]
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"], labels["source"]) == (
        "${VERSION}",
        "${REVISION}",
        "${SOURCE}",
    )


def test_every_target_is_looked_at() -> None:
    found = stages()
    ends = set(found) - {stage.base for stage in found.values()}
    copied = set(re.findall(r"COPY --from=(\S+)", DOCKERFILE.read_text("utf-8")))

    assert ends - copied <= set(TARGETS)
    assert set(TARGETS) <= set(found)
