"""A hook of mkdocs: pages of the site that are kept at the root of the repository.

`ARCHITECTURE.md` and `CHANGELOG.md` are there because people look for them there. Their links to `docs/` become links
inside the site.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[1]

#: The page of the site for each file of the repository.
PAGES: Final = {"ARCHITECTURE.md": "explanation/architecture.md", "CHANGELOG.md": "reference/changes.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; mkdocs calls it once it has found the files of `docs/`."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](../")
        files.append(File.generated(config, page, content=text))
    return files
