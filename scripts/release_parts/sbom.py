"""The list of components (SBOM) of a release, in CycloneDX's form, made from a lock file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def write_sbom(lock: Path, pyproject: Path, version: str, target: Path) -> int:
    """Write the components that the lock pins to `target`; return how many there are. The same lock makes the same file.

    Raises:
        subprocess.CalledProcessError: the lock cannot be read, or the result breaks CycloneDX's schema.
    """
    argv = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--output-reproducible"]
    made = subprocess.run(
        [*argv, "--sv", "1.6", "--validate", "--pyproject", str(pyproject), str(lock)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    bom = json.loads(made.stdout)
    # The version has its one source elsewhere, and a lock says nothing of who needs whom.
    root = bom["metadata"]["component"]
    root |= {"version": version, "purl": f"pkg:pypi/{root['name']}@{version}"}
    components = [component["bom-ref"] for component in bom["components"]]
    bom["dependencies"] = [{"ref": root["bom-ref"], "dependsOn": components}]
    bom["dependencies"] += [{"ref": component} for component in components]
    target.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return len(components)
