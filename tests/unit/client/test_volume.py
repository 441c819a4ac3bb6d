from __future__ import annotations

import pytest

from lorapod.client.errors import VolumeNotNamed
from lorapod.client.project_file import ProjectFile
from lorapod.client.volume import VolumeAccess

KEYS = {"RUNPOD_S3_ACCESS_KEY": "user_1", "RUNPOD_S3_SECRET_KEY": "rps_very_secret"}
PROJECT = ProjectFile(volume="vol1", data_center="EU-RO-1")


def test_the_project_file_names_volume_and_data_center() -> None:
    access = VolumeAccess.read(KEYS, PROJECT)

    assert access.volume == "vol1"
    assert access.endpoint_url == "https://s3api-eu-ro-1.runpod.io"
    assert access.region == "EU-RO-1"


def test_variables_come_before_the_project_file() -> None:
    named = {"LORAPOD_VOLUME": "vol2/loras", "RUNPOD_S3_DATA_CENTER": "US-KS-2"}

    access = VolumeAccess.read(KEYS | named, PROJECT)

    assert (access.volume, access.folder, access.region) == ("vol2", "loras", "US-KS-2")


def test_everything_that_is_missing_is_named() -> None:
    with pytest.raises(
        VolumeNotNamed, match="LORAPOD_VOLUME, RUNPOD_S3_SECRET_KEY, RUNPOD_S3_DATA_CENTER are"
    ):
        VolumeAccess.read({"RUNPOD_S3_ACCESS_KEY": "user_1"}, ProjectFile())


@pytest.mark.parametrize("url", ["ftp://s3.test", "https://user:rps_very_secret@s3.test", "s3.test"])
def test_a_wrong_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(VolumeNotNamed, match="RUNPOD_S3_ENDPOINT_URL") as refused:
        VolumeAccess.read(KEYS | {"RUNPOD_S3_ENDPOINT_URL": url}, PROJECT)

    assert "rps_very_secret" not in str(refused.value)


def test_no_text_of_it_shows_a_key() -> None:
    access = VolumeAccess.read(KEYS, PROJECT)

    assert "user_1" not in repr(access)
    assert "rps_very_secret" not in repr(access)


@pytest.mark.parametrize("data_center", ["evil.example/x?", "EU-RO-1.evil.example", "a b"])
def test_a_data_center_is_a_plain_name(data_center: str) -> None:
    keys = {"RUNPOD_S3_ACCESS_KEY": "user", "RUNPOD_S3_SECRET_KEY": "secret", "LORAPOD_VOLUME": "vol1"}
    with pytest.raises(VolumeNotNamed, match="which is not a data centre"):
        VolumeAccess.read({**keys, "RUNPOD_S3_DATA_CENTER": data_center}, ProjectFile())
