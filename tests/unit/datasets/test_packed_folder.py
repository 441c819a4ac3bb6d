"""What the client packs of a folder with folders is what the worker makes a dataset of: no picture is lost."""

from __future__ import annotations

from pathlib import Path

from tests.unit.datasets.library_bench import LibraryBench, incoming, picture

from lorapod.client.packing import FolderFiles


def sent(bench: LibraryBench, folder: Path) -> dict[str, str]:
    with FolderFiles.of(folder).to_send() as paths:
        receipt = bench.library.receive(
            [incoming(path.name, path.read_bytes()) for path in paths], training_name="cats"
        )
    assert receipt.rejected == []
    return dict(receipt.renamed)


def test_two_folders_with_the_same_names_keep_both_pictures(bench: LibraryBench, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number, name in enumerate(("a/1.png", "b/1.png")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(picture(size=(300 + number, 300)))
        path.with_suffix(".txt").write_text(name)
    renamed = sent(bench, folder)
    found = bench.workspace.training_data / "cats"
    assert {path.name: path.read_text() for path in found.glob("*.txt")} == {
        "a__1.txt": "a/1.png",
        "b__1.txt": "b/1.png",
    }
    assert len(list(found.glob("*.png"))) == 2
    assert renamed


def test_the_repeats_of_folders_arrive(bench: LibraryBench, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number, name in enumerate(("10_cat/1.png", "2_dog/1.png")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(picture(size=(300 + number, 300)))
    sent(bench, folder)
    found = bench.workspace.training_data / "cats"
    assert sorted(str(path.relative_to(found)) for path in found.rglob("*.png")) == [
        "10_cat/1.png",
        "2_dog/1.png",
    ]
