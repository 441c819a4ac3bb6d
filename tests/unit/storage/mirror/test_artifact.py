from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from lorapod.storage.mirror.artifact import ArtifactKind, MirroredRun, find_artifacts, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cat_000000100.safetensors", ArtifactKind.CHECKPOINT),
        ("checkpoints/cat.safetensors", ArtifactKind.CHECKPOINT),
        ("samples/1700000000__000000100_0.jpg", ArtifactKind.SAMPLE),
        ("logs/train.log", ArtifactKind.LOG),
        ("loss_log.db", ArtifactKind.LOG),
        ("loss_log.db-wal", None),
        ("loss_log.db-shm", None),
        ("config.yaml", None),
        (".job_config.json", None),
        ("optimizer.pt", None),
        ("cat.safetensors.tmp", None),
        (".staged.safetensors", None),
        ("_latent_cache/1.safetensors", None),
        ("samples/.thumbs/1.png", None),
        (".tmp/cat.safetensors", None),
        ("picture.png", None),
    ],
)
def test_only_finished_kinds_of_files_are_sent(name: str, kind: ArtifactKind | None) -> None:
    assert kind_of(PurePosixPath(name)) is kind


def test_keys_are_laid_out_by_kind(tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    (folder / "samples").mkdir(parents=True)
    (folder / "_latent_cache").mkdir()
    (tmp_path / "train.log").write_text("said")
    (folder / "cat.safetensors").write_bytes(b"x")
    (folder / "samples" / "1.png").write_bytes(b"x")
    (folder / "_latent_cache" / "2.png").write_bytes(b"x")
    (folder / "config.yaml").write_text("x: 1")
    (folder / "elsewhere.safetensors").symlink_to(tmp_path / "train.log")
    run = MirroredRun(process_id="p", folder=folder, log=tmp_path / "train.log", root="cat")
    assert [artifact.key for artifact in find_artifacts(run)] == [
        "cat/logs/training.log",
        "cat/checkpoints/cat.safetensors",
        "cat/samples/1.png",
    ]
