from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.engines.diffusers.child.images import read_input, rounded, write_png
from lorapod.engines.diffusers.messages import Generate, Lora


@pytest.mark.parametrize(("side", "near"), [(64, 64), (67, 64), (68, 72), (1, 8), (1023, 1024)])
def test_sides_that_models_can_make(side: int, near: int) -> None:
    assert rounded(side) == near


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((None, None), (256, 128)),
        ((128, None), (128, 64)),
        ((None, 256), (512, 256)),
        ((100, 100), (104, 104)),
    ],
)
def test_the_input_has_the_size_asked_for(
    tmp_path: Path, given: tuple[int | None, int | None], size: tuple[int, int]
) -> None:
    path = tmp_path / "in.png"
    Image.new("RGB", (256, 128)).save(path)
    assert read_input(path, given, side=512).size == size


def test_a_large_input_is_brought_to_what_the_model_is_made_for(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    Image.new("RGB", (4000, 1000)).save(path)
    assert read_input(path, (None, None), side=512).size == (1024, 256)


def test_the_input_is_upright_and_opaque(tmp_path: Path) -> None:
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 128)).save(turned, exif=exif)
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(clear)

    assert read_input(turned, (None, None), side=512).size == (128, 64)
    assert read_input(clear, (None, None), side=512).getpixel((5, 5)) == (255, 255, 255)


def test_a_picture_tells_how_it_was_made(tmp_path: Path) -> None:
    request = Generate(
        job="1",
        prompt="a box\nand a ball",
        negative_prompt="blue",
        seed=1,
        num_images=1,
        folder=tmp_path,
        image=Path("/i.png"),
        strength=0.25,
        loras=(Lora(path=Path("/secret/place/one.safetensors"), name="one", weight=0.5, stamp=""),),
    )
    path = tmp_path / "out.png"
    write_png(
        Image.new("RGB", (16, 8)),
        path,
        request,
        seed=7,
        model="tiny",
        facts=[("Steps", "3"), ("CFG scale", "2")],
    )

    assert [found.name for found in tmp_path.iterdir()] == ["out.png"]
    with Image.open(path) as image:
        assert image.info["Software"].startswith("lorapod ")
        assert image.info["parameters"].splitlines() == [
            "a box",
            "and a ball <lora:one:0.5>",
            "Negative prompt: blue",
            "Steps: 3, CFG scale: 2, Seed: 7, Size: 16x8, Model: tiny, Denoising strength: 0.25",
        ]
    assert b"/secret" not in path.read_bytes()


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    request = Generate(job="1", prompt="p", seed=1, num_images=1, folder=tmp_path)
    with pytest.raises(OSError, match="No such file"):
        write_png(
            Image.new("RGB", (8, 8)), tmp_path / "gone" / "out.png", request, seed=1, model="m", facts=[]
        )
    assert list(tmp_path.iterdir()) == []
