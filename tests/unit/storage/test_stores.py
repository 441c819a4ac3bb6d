from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lorapod.errors import InvalidInput, UnsafePath, Unsupported
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.storage.s3_access import JobS3
from lorapod.storage.stores import ObjectStores
from lorapod.wire.dataset import HuggingFaceDataset, S3Prefix, SupabaseFolder
from lorapod.wire.storage import HuggingFaceRepo, LocalFolder, UploadTargets
from lorapod.workspace import Workspace


def stores(folder: Path, **values: Any) -> ObjectStores:
    return ObjectStores(settings=Settings(**values), workspace=Workspace.create(folder))


def test_a_store_opens_without_a_client_library_before_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, lorapod.storage.stores\n"
        "print(*{'boto3', 'storage3', 'huggingface_hub', 'httpx'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert ended.stdout == "\n"


@pytest.mark.parametrize(
    ("location", "setting"),
    [
        (S3Prefix(), "BUCKET_ACCESS_KEY_ID"),
        (SupabaseFolder(bucket_name="b", folder_path="f"), "SUPABASE_SERVICE_KEY"),
    ],
)
def test_without_credentials_it_says_what_to_set(
    tmp_path: Path, location: S3Prefix | SupabaseFolder, setting: str
) -> None:
    with pytest.raises(InvalidInput) as caught, stores(tmp_path).open(location):
        pass
    assert setting in caught.value.hint


def test_a_bucket_must_be_named_somewhere(tmp_path: Path) -> None:
    values = {"bucket_access_key_id": "id", "bucket_secret_access_key": "secret"}
    with pytest.raises(InvalidInput, match="bucket"), stores(tmp_path, **values).open(S3Prefix()):
        pass
    with stores(tmp_path, **values).open(S3Prefix(bucket="b", prefix="p")) as store:
        assert "/b/p/a.bin?" in store.url_for("a.bin", expires_s=5)


JOB = {
    "endpointUrl": "http://host",
    "accessId": "job-key",
    "accessSecret": "planted-7f3a",
    "bucketName": "jobs",
}


def test_a_jobs_own_bucket_goes_before_the_endpoints(tmp_path: Path) -> None:
    settings = Settings(bucket_access_key_id="id", bucket_secret_access_key="secret", bucket_name="mine")
    redactor = Redactor()
    opener = ObjectStores(settings=settings, workspace=Workspace.create(tmp_path), redactor=redactor)
    job_s3 = JobS3.of(JOB, Settings())
    with opener.open(S3Prefix(), job_s3=job_s3) as store:
        assert store.url_for("a.bin", expires_s=5).startswith("http://host/jobs/a.bin?")
        assert redactor.text("with planted-7f3a") == "with ***"
    assert redactor.text("with planted-7f3a") == "with planted-7f3a"
    with opener.open(S3Prefix(bucket="other"), job_s3=job_s3) as store:
        assert store.url_for("a.bin", expires_s=5).startswith("http://host/other/a.bin?")


def test_what_is_kept_of_a_jobs_bucket_opens_with_credentials_of_the_same_server_only(tmp_path: Path) -> None:
    kept = TypeAdapter(JobS3).validate_json(TypeAdapter(JobS3).dump_json(JobS3.of(JOB, Settings())))
    assert kept == JobS3(server="http://host", bucket="jobs")
    mine = {"bucket_access_key_id": "id", "bucket_secret_access_key": "secret", "bucket_name": "mine"}
    with stores(tmp_path, bucket_endpoint_url="http://host", **mine).open(S3Prefix(), job_s3=kept) as store:
        assert store.url_for("a.bin", expires_s=5).startswith("http://host/jobs/a.bin?")
    for settings in ({}, {"bucket_endpoint_url": "http://elsewhere", **mine}):
        with pytest.raises(InvalidInput, match="stored nowhere") as caught:
            stores(tmp_path, **settings).check(kept)
        assert "s3Config" in caught.value.hint


@pytest.mark.parametrize("folder", ["../else", "a//b", "a/../../b"])
def test_a_folder_that_is_no_plain_path_is_refused(tmp_path: Path, folder: str) -> None:
    values = {"supabase_url": "http://host", "supabase_service_key": "key"}
    location = SupabaseFolder(bucket_name="b", folder_path=folder)
    with pytest.raises(InvalidInput, match="plain"), stores(tmp_path, **values).open(location):
        pass


def test_offline_the_hub_is_not_asked(tmp_path: Path) -> None:
    for location in (HuggingFaceRepo(repo_id="a/b"), HuggingFaceDataset(repo_id="a/b")):
        with pytest.raises(Unsupported), stores(tmp_path, hf_hub_offline=True).open(location):
            pass


def test_a_local_folder_stays_inside_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("content")
    with stores(tmp_path).open(LocalFolder(path="shared/loras")) as store:
        store.put_file(tmp_path / "file.txt", "a/b.txt")
    assert (tmp_path / "shared/loras/a/b.txt").read_text() == "content"
    with pytest.raises(UnsafePath), stores(tmp_path).open(LocalFolder(path="../else")):
        pass


def test_targets_stand_together_and_one_is_needed() -> None:
    targets = UploadTargets.model_validate({"s3": {}, "huggingface": {"repo_id": "someone/cat"}}).targets
    assert targets == [S3Prefix(), HuggingFaceRepo(repo_id="someone/cat", private=True)]
    wrongs: list[dict[str, object]] = [
        {},
        {"s4": {}},
        {"huggingface": {"repo_id": "a/b/c"}},
        {"s3": {"secret": "x"}},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            UploadTargets.model_validate(wrong)
