"""What a release checks before it is built, and what it says when something cannot be known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.servers.ports import free_port

from release_parts import audit as auditing
from release_parts import changelog
from release_parts.errors import ReleaseError
from release_parts.sbom import write_sbom

ROOT = Path(__file__).parents[3]

CHANGES = """# Changes

Text.

## [Unreleased]

- New.

## [0.1.0] - 2026-11-26

- Old.
"""

RELEASED = CHANGES.replace("- New.\n\n", "")


class TestChangelog:
    def test_what_is_unreleased_becomes_a_version(self) -> None:
        text = changelog.cut(CHANGES, "0.2.0", date(2026, 11, 30))

        assert "## [Unreleased]\n\n## [0.2.0] - 2026-11-30\n\n- New.\n\n## [0.1.0]" in text
        changelog.check(text, "0.2.0")

    @pytest.mark.parametrize("version", ["0.1.0", "2", "v0.2.0", "0.2.0-preview"])
    def test_a_version_is_a_new_one_of_three_numbers(self, version: str) -> None:
        with pytest.raises(ReleaseError, match="no version of the form"):
            changelog.cut(CHANGES, version, date(2026, 11, 30))

    def test_nothing_new_makes_no_version(self) -> None:
        with pytest.raises(ReleaseError, match="nothing to release"):
            changelog.cut(RELEASED, "0.2.0", date(2026, 11, 30))

    @pytest.mark.parametrize(
        ("text", "version", "said"),
        [
            (CHANGES, "0.1.0", "has changes under 'Unreleased'"),
            (RELEASED, "0.2.0", "the newest in CHANGELOG.md is 0.1.0"),
            (RELEASED + "## [0.0.9] - 2026-11-27\n", "0.1.0", "not sorted"),
            (RELEASED + "## 0.0.9, soon\n", "0.1.0", "must be"),
            (RELEASED + "## [0.0.9]\n", "0.1.0", "must be"),
            (RELEASED, "next", "no version of the form"),
        ],
    )
    def test_a_release_is_described_and_nothing_waits(self, text: str, version: str, said: str) -> None:
        with pytest.raises(ReleaseError, match=said):
            changelog.check(text, version)

    def test_a_described_release_passes(self) -> None:
        changelog.check(RELEASED, "0.1.0")

    def test_the_projects_own_has_this_form(self) -> None:
        text = (ROOT / "CHANGELOG.md").read_text("utf-8")

        names = [section.name for section in changelog.sections(text)]
        assert names[0] == changelog.UNRELEASED
        assert len(names) == len(set(names))
        kinds = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
        assert set(kinds) <= set(changelog.KINDS)

    def test_the_version_is_written_where_it_is_read(self) -> None:
        source = '"""A package."""\n\n__version__ = "0.1.0"\n'

        assert changelog.version_of(changelog.with_version(source, "0.2.0")) == "0.2.0"
        with pytest.raises(ReleaseError, match="no __version__"):
            changelog.with_version("version = 1\n", "0.2.0")


@contextmanager
def vulnerability_service(known: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """A service that answers as OSV does; its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"vulns": known.get(asked["package"]["name"], [])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text("# Made by hand.\npillow==13.0.0\nrequests==2.34.2\n")
    return path


class TestAudit:
    def test_packages_without_a_known_vulnerability_are_counted(self, lock: Path) -> None:
        with vulnerability_service({}) as url:
            assert auditing.audit([lock], "--vulnerability-service", "osv", "--osv-url", url) == 2

    def test_a_vulnerability_is_named_with_what_mends_it(self, lock: Path) -> None:
        event = {"events": [{"introduced": "0"}, {"fixed": "13.0.1"}], "type": "ECOSYSTEM"}
        affected = {"package": {"name": "pillow", "ecosystem": "PyPI"}, "ranges": [event]}
        found = {"id": "PYSEC-2026-1", "summary": "A hole.", "affected": [affected]}
        with (
            vulnerability_service({"pillow": [found]}) as url,
            pytest.raises(ReleaseError, match=r"pillow 13\.0\.0: PYSEC-2026-1 \(mended in 13\.0\.1\)"),
        ):
            auditing.audit([lock], "--vulnerability-service", "osv", "--osv-url", url)

    def test_a_service_that_is_not_there_is_not_passed_over(self, lock: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}/v1/query"

        with pytest.raises(
            auditing.NotAuditedError, match="NOT AUDITED: the vulnerability service could not"
        ):
            auditing.audit([lock], "--vulnerability-service", "osv", "--osv-url", url)

    def test_packages_that_the_service_does_not_know_are_not_passed_over(
        self, lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = {
            "dependencies": [
                {"name": "pillow", "skip_reason": "not found"},
                {"name": "requests", "vulns": []},
            ]
        }
        program = lock.with_name("pip_audit.py")
        program.write_text(f"print({json.dumps(json.dumps(told))})")
        monkeypatch.setenv("PYTHONPATH", str(lock.parent))

        with pytest.raises(auditing.NotAuditedError, match="knows 1 of 2 packages not, such as pillow"):
            auditing.audit([lock])


class TestSbom:
    def test_it_lists_every_pin_of_the_workers_lock(self, tmp_path: Path) -> None:
        lock, target = ROOT / "FastBackend" / "requirements.lock", tmp_path / "a.cdx.json"
        pins = {line for line in lock.read_text("utf-8").splitlines() if not line.startswith("#")}

        count = write_sbom(lock, ROOT / "pyproject.toml", "1.2.3", target)

        bom = json.loads(target.read_text("utf-8"))
        assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
        assert {f"{each['name']}=={each['version']}" for each in bom["components"]} == pins
        assert count == len(pins)
        root = bom["metadata"]["component"]
        assert (root["name"], root["version"], root["purl"]) == ("lorapod", "1.2.3", "pkg:pypi/lorapod@1.2.3")
        (needed,) = [each["dependsOn"] for each in bom["dependencies"] if each["ref"] == root["bom-ref"]]
        assert set(needed) == {each["bom-ref"] for each in bom["components"]}
        # What would differ each time.
        assert "serialNumber" not in bom
        assert "timestamp" not in bom["metadata"]
