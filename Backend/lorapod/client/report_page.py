"""A self-contained HTML page about a training."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2rem; border-bottom: 1px solid #e4e7eb }
img { max-width: 100%; height: auto } td { padding: .1rem 1.5rem .1rem 0; vertical-align: top }
td:first-child, .faint { color: #7b8794 } .failed { color: #d64545 }
pre { background: #f5f7fa; padding: 1rem; overflow: auto; font-size: 13px }
</style>
<h1>$title</h1>
<p class="faint">$process_id</p>
<table>$facts</table>
$sections
""")


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """The content of the page; images are PNG files on this machine."""

    #: The answer of `process_status`.
    process: Mapping[str, Any]
    #: The trainer's config; empty if the worker no longer has it.
    config: str = ""
    loss: Path | None = None
    samples: Path | None = None
    dataset: Path | None = None


def write_page(page: ReportPage, to: Path) -> Path:
    """Write the page with its images embedded; return its path.

    Raises:
        OSError: an image cannot be read, or `to` cannot be written.
    """
    process = page.process
    to.write_text(
        _PAGE.substitute(
            title=html.escape(process["name"]),
            process_id=html.escape(process["process_id"]),
            facts="".join(_row(name, value) for name, value in _facts(process)),
            sections="".join(_sections(page)),
        ),
        encoding="utf-8",
    )
    return to


def _facts(process: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    progress = process["progress"]
    yield "status", process["status"]
    if failure := process.get("failure"):
        yield "failure", failure["message"]
    yield "trainer", process["trainer"]
    yield "steps", f"{progress['step']} of {progress['total_steps']}" if progress.get("total_steps") else None
    yield "loss", progress.get("loss")
    yield "steps a second", progress.get("steps_per_s")
    for name in ("created_at", "started_at", "ended_at"):
        yield name.removesuffix("_at"), process.get(name)
    if dataset := process.get("dataset"):
        yield (
            "dataset",
            f"{dataset['path']}: {dataset.get('images')} images, {dataset.get('captions')} captions",
        )
    for checkpoint in process["checkpoints"]:
        yield "checkpoint", f"{checkpoint['path']} ({checkpoint['size_bytes'] / 1e6:.1f} MB)"


def _row(name: str, value: Any) -> str:
    if value is None:
        return ""
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    style = ' class="failed"' if name == "failure" else ""
    return f"<tr><td>{html.escape(name)}</td><td{style}>{html.escape(shown)}</td></tr>\n"


def _sections(page: ReportPage) -> Iterator[str]:
    for title, picture in (("Loss", page.loss), ("Samples", page.samples), ("Dataset", page.dataset)):
        if picture is not None:
            data = base64.b64encode(picture.read_bytes()).decode()
            yield f'<h2>{title}</h2>\n<img alt="{title}" src="data:image/png;base64,{data}">\n'
    if page.config:
        yield f"<h2>Config</h2>\n<pre>{html.escape(page.config)}</pre>\n"
    if tail := page.process.get("log_tail"):
        yield f"<h2>End of the log</h2>\n<pre>{html.escape(chr(10).join(tail))}</pre>\n"
