"""Settings that hold a URL: one that cannot be parsed is refused with a sentence, by whoever reads it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.storage.s3_access import S3Access
from lorapod.storage.supabase_access import SupabaseAccess
from lorapod.web_url import is_web_url

NO_URLS = ["nonsense", "http://[host", "http://host:port", "http://host:99999", "http://host:0", "ftp://host"]


@pytest.mark.parametrize("text", [*NO_URLS, "", "http://"])
def test_what_is_no_url_of_a_server(text: str) -> None:
    assert not is_web_url(text)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8188", "https://host/path", "http://[::1]:80/", "HTTP://host"]
)
def test_what_is_one(text: str) -> None:
    assert is_web_url(text)


@pytest.mark.parametrize("text", NO_URLS)
@pytest.mark.parametrize("name", ["comfyui_url", "comfyui_registry_url", "swarmui_api_url", "hf_endpoint"])
def test_the_url_of_an_engine_or_of_the_hub_is_refused_at_the_start(name: str, text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({name: text})

    [problem] = raised.value.errors()
    assert problem["loc"] == (name,)


@pytest.mark.parametrize("text", NO_URLS)
def test_the_url_of_a_store_is_refused_by_name_when_it_is_used(text: str) -> None:
    keys = {"bucket_access_key_id": "id", "bucket_secret_access_key": "key", "supabase_service_key": "key"}
    settings = Settings.model_validate({**keys, "bucket_endpoint_url": text, "supabase_url": text})

    with pytest.raises(InvalidInput, match="BUCKET_ENDPOINT_URL"):
        S3Access.from_settings(settings)
    with pytest.raises(InvalidInput, match="SUPABASE_URL"):
        SupabaseAccess.from_settings(settings)
