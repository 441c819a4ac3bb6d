"""The key and the URL of the management API."""

from __future__ import annotations

import traceback

import pytest
from tests.servers.platform import KEY, PlatformFault, PlatformStandIn
from tests.servers.ports import free_port

from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import KeyRefused, PlatformError, PlatformUnreachable
from lorapod.platform.transport import PlatformRetries, PlatformTransport

ONCE = PlatformRetries(attempts=1)


@pytest.mark.parametrize("url", ["api.runpod.io", "ftp://x", "https://", "https://me:secret@api.runpod.io"])
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="RUNPOD_REST_URL") as caught:
        RunpodPlatform(KEY, url=url)

    assert "secret" not in str(caught.value)


def test_the_environment_names_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RunpodPlatform(KEY).url == "https://api.runpod.io"

    monkeypatch.setenv("RUNPOD_REST_URL", "http://127.0.0.1:9/base/")

    assert RunpodPlatform(KEY).url == "http://127.0.0.1:9/base"


@pytest.mark.parametrize("key", ["", "  ", "two words", "rpa_ü", "rpa_line\nbreak"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        RunpodPlatform(key)

    shown = "".join(traceback.format_exception(caught.value))
    assert not key.strip() or key not in shown


def test_a_key_with_a_line_end_is_taken(account: PlatformStandIn) -> None:
    with RunpodPlatform(f"{KEY}\n", url=account.url) as platform:
        assert platform.volumes() == []


def test_the_key_is_in_no_representation_and_no_error(
    account: PlatformStandIn, platform: RunpodPlatform
) -> None:
    account.faults = [PlatformFault(status=422, detail=f"do not like {KEY} at all")]

    with pytest.raises(PlatformError) as caught:
        platform.volumes()

    shown = "".join(traceback.format_exception(caught.value))
    assert "do not like *** at all" in shown
    assert KEY not in shown + repr(PlatformTransport(KEY)) + repr(platform)


def test_a_wrong_key_is_refused(account: PlatformStandIn) -> None:
    with RunpodPlatform("rpa_other", url=account.url, retries=ONCE) as platform, pytest.raises(KeyRefused):
        platform.volumes()


def test_a_server_that_is_away_is_named_with_the_reason() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        RunpodPlatform(KEY, url=url, retries=ONCE) as platform,
        pytest.raises(PlatformUnreachable, match="Connection refused") as caught,
    ):
        platform.volumes()

    assert url in caught.value.message
    assert KEY not in "".join(traceback.format_exception(caught.value))
