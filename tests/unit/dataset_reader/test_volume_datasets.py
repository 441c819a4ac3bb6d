from __future__ import annotations

from contextlib import closing
from pathlib import Path

from lorapod.dataset_reader.volume_datasets import VolumeDatasets
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace


def test_a_file_that_is_gone_hides_no_dataset(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    cats = workspace.training_data / "cats"
    cats.mkdir()
    (cats / "1.png").write_bytes(b"an image")
    (cats / "2.png").symlink_to("deleted.png")

    with closing(VolumeView(LOCAL_FILES, workspace)) as view:
        (listed,) = VolumeDatasets(view).list_datasets().datasets

    assert (listed.training_name, listed.images) == ("cats", 1)
    assert int(listed.modified_at.timestamp()) == int((cats / "1.png").stat().st_mtime)
