from __future__ import annotations

import pytest

from lorapod.kinds import FileKind, is_hidden, kind_of
from lorapod.safety import images
from lorapod.wire import dataset


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PNG", FileKind.IMAGE),
        ("a.txt", FileKind.CAPTION),
        ("a.safetensors", FileKind.MODEL),
        ("train_0.log", FileKind.LOG),
        ("config.yaml", FileKind.CONFIG),
        ("a.tar.gz", FileKind.ARCHIVE),
        ("a.mp4", FileKind.VIDEO),
        ("a.db", FileKind.OTHER),
        ("png", FileKind.OTHER),
        (".png", FileKind.OTHER),
    ],
)
def test_the_last_suffix_decides(name: str, kind: FileKind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", [".x", ".", "_latent_cache", "_t_e_cache"])
def test_hidden_names(name: str) -> None:
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["_x", "a.x", "a_latent_cache"])
def test_plain_names(name: str) -> None:
    assert not is_hidden(name)


def test_the_images_that_a_dataset_may_hold_are_those_that_are_checked() -> None:
    assert dataset.IMAGE_SUFFIXES == images.SUFFIXES
