"""Build a release into dist/, or one part of it: `python scripts/release.py all|version|audit|sbom`.

CONTRIBUTING.md says what a person does before and after it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from release_parts import audit as auditing
from release_parts import changelog, distributions
from release_parts.errors import ReleaseError
from release_parts.sbom import write_sbom

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
CHANGELOG = ROOT / "CHANGELOG.md"
VERSION = ROOT / "Backend" / "lorapod" / "__init__.py"
#: What people who work on it install, which includes what the worker needs.
LOCK = ROOT / "requirements.lock"
WORKER_LOCK = ROOT / "FastBackend" / "requirements.lock"


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def release(*, audited: bool) -> None:
    """Check, audit, build, install, list the components, and sum up."""
    version = changelog.version_of(VERSION.read_text("utf-8"))
    changelog.check(CHANGELOG.read_text("utf-8"), version)
    if audited:
        say(f"{auditing.audit([LOCK])} packages have no known vulnerability.")
    else:
        say("NOT AUDITED, as asked for: nothing is known of vulnerabilities in the pinned packages.")
    shutil.rmtree(DIST, ignore_errors=True)
    built = distributions.build(DIST)
    distributions.check(built, version)
    sbom(version)
    distributions.write_sums(DIST)
    for path in sorted(DIST.iterdir()):
        say(f"  {path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")
    say(f"lorapod {version} is in dist/. What is left to do: CONTRIBUTING.md.")


def sbom(version: str) -> None:
    """Write the components of the worker, and of everything that the lock pins."""
    DIST.mkdir(exist_ok=True)
    for lock, name in ((WORKER_LOCK, "lorapod"), (LOCK, "lorapod-development")):
        target = DIST / f"{name}-{version}.cdx.json"
        count = write_sbom(lock, ROOT / "pyproject.toml", version, target)
        say(f"{target.relative_to(ROOT)}: {count} components")


def new_version(version: str) -> None:
    """Make a version of what is unreleased."""
    text = changelog.cut(CHANGELOG.read_text("utf-8"), version, datetime.now(UTC).date())
    source = changelog.with_version(VERSION.read_text("utf-8"), version)
    CHANGELOG.write_text(text, encoding="utf-8")
    VERSION.write_text(source, encoding="utf-8")
    say(f"The version is {version}. Look at CHANGELOG.md, commit, and run `make release`.")


def main(argv: list[str]) -> int:
    """Do what is asked; return the exit code: 1 if something must be mended, 2 if it could not be found out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("all", help="everything").add_argument("--no-audit", action="store_true")
    parts.add_parser("version", help="make a version of what is unreleased").add_argument("version")
    parts.add_parser("sbom", help="the list of components alone")
    parts.add_parser("audit", help="known vulnerabilities alone").add_argument("options", nargs="*")
    chosen, more = parser.parse_known_args(argv)
    try:
        match chosen.part:
            case "all":
                release(audited=not chosen.no_audit)
            case "version":
                new_version(chosen.version)
            case "sbom":
                sbom(changelog.version_of(VERSION.read_text("utf-8")))
            case _:
                count = auditing.audit([LOCK], *chosen.options, *more)
                say(f"{count} packages have no known vulnerability.")
    except auditing.NotAuditedError as error:
        say(str(error))
        return 2
    except ReleaseError as error:
        say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        say(f"{error.cmd} ended with {error.returncode}: {error.stderr or error.stdout or ''}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
