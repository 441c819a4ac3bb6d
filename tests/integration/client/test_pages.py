"""The Python of the pages, run as it stands there but for its addresses and credentials."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.unit.datasets.library_bench import picture

from lorapod.client import Client
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

ROOT = Path(__file__).parents[3]
PAGES = ("docs/howto/datasets.md", "docs/howto/live-uploads.md", "docs/howto/object-stores.md")
#: How pages name an endpoint: RunPod's, or the local one.
ENDPOINT = re.compile(
    r"https://api\.runpod\.ai/v2/<endpoint>(?=\", api_key)|http://127\.0\.0\.1:8080/v2/local"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, s3_server: RunningS3) -> Iterator[str]:
    config = EndpointConfig(
        command=[sys.executable, str(ROOT / "tests/integration/script_worker.py")],
        environment={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "WORKSPACE_PATH": str(tmp_path_factory.mktemp("workspace")),
            "DISK_MIN_FREE_BYTES": "0",
            "ALLOW_PRIVATE_URLS": "true",
            "BUCKET_ENDPOINT_URL": s3_server.url,
            "BUCKET_NAME": BUCKET,
            "BUCKET_ACCESS_KEY_ID": KEY_ID,
            "BUCKET_SECRET_ACCESS_KEY": SECRET_KEY,
        },
    )
    with serving(config) as endpoint, Client(endpoint.url) as client:
        folder = tmp_path_factory.mktemp("pictures")
        (folder / "1.png").write_bytes(picture(size=(300, 300)))
        for name in ("matt", "cats"):
            client.upload_dataset(folder, name)
        yield endpoint.url


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(
    page: str, url: str, s3_server: RunningS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-images").mkdir()
    Path("my-images/1.png").write_bytes(picture(size=(300, 300)))
    Path("my-images/1.txt").write_text("a cat")
    text = (ROOT / page).read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    own = {
        '"https://s3.example.com"': repr(s3_server.url),
        '"accessId": "…"': f'"accessId": "{KEY_ID}"',
        '"accessSecret": "…"': f'"accessSecret": "{SECRET_KEY}"',
        '"bucketName": "mine"': f'"bucketName": "{BUCKET}"',
    }
    for example in examples:
        assert ENDPOINT.search(example)
        code = ENDPOINT.sub(url, example)
        for shown, real in own.items():
            code = code.replace(shown, real)
        exec(compile(code, page, "exec"), {"Client": Client})  # noqa: S102 - the page is the test
