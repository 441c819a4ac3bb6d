"""What the browser gets: small, without a line inline, and as npm has it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

import lorapod.client
from lorapod.client.console.static import read_static_files, squeezed

CLIENT = Path(lorapod.client.__file__).parent
ASSETS = CLIENT / "console" / "assets"
MOST_COMPRESSED_BYTES = 120_000
MOST_LINES = 300
OWN_SCRIPTS = sorted((ASSETS / "js").rglob("*.js"))


def test_all_scripts_and_styles_together_are_small() -> None:
    files = read_static_files()
    sizes = {name: len(file.compressed) for name, file in files.items() if name.endswith((".js", ".css"))}

    assert {"js/app.js", "vendor/preact.js", "vendor/uPlot.iife.min.js", "css/base.css"} <= set(sizes)
    assert sum(sizes.values()) < MOST_COMPRESSED_BYTES, sizes


@pytest.mark.parametrize("script", OWN_SCRIPTS, ids=lambda path: path.stem)
def test_a_module_is_short_and_puts_no_text_into_the_page_as_html(script: Path) -> None:
    text = script.read_text("utf-8")

    assert text.count("\n") <= MOST_LINES
    assert not re.findall(
        r"innerHTML|outerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|\beval\(|new Function", text
    )
    # Style attributes go past the policy only as properties.
    assert 'style="' not in text


def test_every_sentence_is_in_one_place() -> None:
    """What a person reads comes from `strings.js`, which alone knows the parts that it is made of."""
    others = [path for path in OWN_SCRIPTS if "strings" not in path.relative_to(ASSETS).as_posix()]
    assert [path.name for path in others if '"./strings/' in path.read_text("utf-8")] == []
    imported = set(re.findall(r'from "\./(strings/\w+\.js)"', (ASSETS / "js/strings.js").read_text("utf-8")))
    assert imported == {f"strings/{path.name}" for path in (ASSETS / "js/strings").iterdir()}

    found = {path.name: sentences(path.read_text("utf-8")) for path in others}
    assert {name: each for name, each in found.items() if each} == {}
    # It does find them.
    assert sentences('say("It is away."); html`<p>loss ${x}</p><b title="Go on">${y}</b>`') == [
        "It is away.",
        "Go on",
        "loss ",
    ]


CLASSES = frozenset(
    name
    for path in (ASSETS / "css").iterdir()
    for name in re.findall(r"\.([a-z-]+)", path.read_text("utf-8"))
)
#: Attributes whose value nobody reads.
MARKUP = re.compile(r'\b(?!aria-label|title|placeholder|alt)[\w-]+="[^"]*"')


def sentences(script: str) -> list[str]:
    """Return what of a script's texts looks like English: two words beside each other, or text between two tags."""
    code = re.sub(r"(?s)/\*.*?\*/|(?m:^\s*//.*$)", "", script)
    code = MARKUP.sub("", code)
    texts = [
        text
        for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', code)
        if re.match(r"[A-Za-z]", text)
        and re.search(r"[A-Za-z]{2,}[,:]? [a-z]{2,}|[A-Z][a-z]+[.!?]", text)
        and not set(text.split()) <= CLASSES
    ]
    between = re.findall(r"(?<=>)[^<>`$={}()&|]*[A-Za-z]{2,}[^<>`$={}()&|]*(?=<|\$\{)", code)
    return texts + between


def test_the_page_holds_no_script_and_no_style_of_its_own_and_leads_nowhere_else() -> None:
    page = (ASSETS / "index.html").read_text("utf-8")

    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", page)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    files = read_static_files()
    assert [address for address in addresses if address.removeprefix("/assets/") not in files] == []


def test_every_import_leads_to_a_file() -> None:
    wrong = [
        (script.name, target)
        for script in [*OWN_SCRIPTS, *(ASSETS / "vendor").glob("*.js")]
        for target in re.findall(r'(?:from|import\()\s*"([^"]+)"', script.read_text("utf-8"))
        if not target.startswith(".") or not (script.parent / target).is_file()
    ]
    assert wrong == []


def test_vendored_files_are_those_of_the_manifest() -> None:
    manifest = json.loads((ASSETS / "vendor" / "manifest.json").read_text("utf-8"))
    digests = {place: digest for package in manifest.values() for place, digest in package["sha256"].items()}
    found = {place: hashlib.sha256((CLIENT / place).read_bytes()).hexdigest() for place in digests}

    assert found == digests
    assert {name.partition("@")[0] for name in manifest} == {"preact", "htm", "uplot"}
    assert sum(place.endswith("LICENSE") for place in digests) == 3
    vendored = {path.name for path in (ASSETS / "vendor").iterdir()} - {"manifest.json"}
    assert vendored <= {Path(place).name for place in digests}


def test_a_file_is_sent_without_what_is_for_people_alone() -> None:
    file = read_static_files()["js/app.js"]
    sent, written = gzip.decompress(file.compressed).decode(), (ASSETS / "js" / "app.js").read_text("utf-8")

    assert file.content_type == "text/javascript"
    assert "// The console" in written
    assert "// The console" not in sent
    assert sent.count("\n") == written.count("\n")
    kept = [line.strip() for line in written.splitlines()]
    assert [line for line in sent.splitlines() if line and line not in kept] == []
    assert (
        gzip.decompress(read_static_files()["vendor/preact.js"].compressed)
        == (ASSETS / "vendor" / "preact.js").read_bytes()
    )


def test_only_comments_with_lines_of_their_own_go() -> None:
    script = b"  // why\n  /** What.\n   * More. */\nconst a = 'http://x'; // same line\n    const b = `/* kept */`;\n"

    assert squeezed(script) == b"\n\n\nconst a = 'http://x'; // same line\nconst b = `/* kept */`;\n"
