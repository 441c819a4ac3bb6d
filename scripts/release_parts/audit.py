"""Known vulnerabilities of the pinned packages, asked of a public service by pip-audit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from release_parts.errors import ReleaseError


class NotAuditedError(ReleaseError):
    """The service did not answer for every package: nothing is known of those."""


def audit(locks: Sequence[Path], *options: str) -> int:
    """Return how many packages were audited and have no known vulnerability; `options` go to pip-audit.

    Raises:
        NotAuditedError: the service cannot be reached, or does not know every package.
        ReleaseError: there is a vulnerability; the message names it and the version that mends it.
    """
    argv = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    named = [argument for lock in locks for argument in ("--requirement", str(lock))]
    done = subprocess.run(
        [*argv, *named, "--format", "json", *options], capture_output=True, text=True, check=False
    )
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        raise NotAuditedError(
            f"NOT AUDITED: the vulnerability service could not be asked ({last}). Nothing is known of these packages; run "
            "`make audit` on a machine that reaches it."
        ) from None
    if vulnerable := [_sentence(package) for package in packages if package.get("vulns")]:
        raise ReleaseError("\n".join(["These pinned packages have known vulnerabilities:", *vulnerable]))
    if skipped := [package for package in packages if "skip_reason" in package]:
        raise NotAuditedError(
            f"NOT AUDITED: the vulnerability service knows {len(skipped)} of {len(packages)} packages not, such as "
            f"{skipped[0]['name']}: {skipped[0]['skip_reason']}. Is it a mirror? Run `make audit` on a machine that reaches "
            "the public service."
        )
    return len(packages)


def _sentence(package: dict[str, Any]) -> str:
    found = [
        f"{each['id']} (mended in {', '.join(each['fix_versions']) or 'no version yet'})"
        for each in package["vulns"]
    ]
    return f"  {package['name']} {package['version']}: {'; '.join(found)}"
