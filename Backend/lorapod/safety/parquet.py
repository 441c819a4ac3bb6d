"""Read parquet tables with images, as datasets of the HuggingFace Hub are stored; needs the extra `parquet`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorapod.errors import InvalidInput, Unsupported
from lorapod.kinds import suffix_of
from lorapod.safety.image_formats import FORMAT_SUFFIXES, HEAD_BYTES, format_name
from lorapod.safety.unpacking import Unpacking

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

SUFFIX = ".parquet"
HINT = "Install the extra `parquet` on the worker, or save the images as files with a metadata.jsonl beside them."

_MAGIC = b"PAR1"
#: The first of these columns that is there holds the captions.
_TEXT_COLUMNS = ("text", "caption", "prompt")
#: `source_image` and `target_image` are the folders `source` and `target`.
_IMAGE_WORDS = re.compile(r"_?(?:image|img|picture)s?_?", re.IGNORECASE)
#: Rows that are in memory at once.
_ROWS = 8


def is_parquet(path: Path) -> bool:
    """Return whether the file is a parquet table, by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def can_read_parquet() -> bool:
    """Return whether this worker has what it needs to read parquet tables."""
    return find_spec("pyarrow") is not None


def unpack_parquet(archive: Path, unpacking: Unpacking) -> None:
    """Unpack the images of a table, each with its caption as text; see `lorapod.safety.archives.unpack`.

    A column with images, or with structs of `bytes` and `path`, becomes files; if there are several, a folder each.

    Raises:
        Unsupported: the worker cannot read parquet.
        InvalidInput: it is damaged, or has no images.
    """
    if not can_read_parquet():
        raise Unsupported("This worker does not read parquet tables.", hint=HINT)
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with archive.open("rb") as file, ParquetFile(file, pre_buffer=False) as table:
            _unpack(table, unpacking)
    except (ArrowException, OSError) as error:
        # What the file system raises has a number; what pyarrow raises at damaged data has none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInput("The parquet table is damaged.", hint="Send it again.") from error


def _unpack(table: ParquetFile, unpacking: Unpacking) -> None:
    schema = table.schema_arrow
    images = _image_columns(schema)
    if not images:
        raise InvalidInput(
            f"The parquet table has no column with images; it has {', '.join(schema.names[:10])}.",
            hint="Images are in a column such as `image`, as bytes or as a struct of `bytes` and `path`.",
        )
    groups = range(table.metadata.num_row_groups)
    unpacking.limits.check_count(table.metadata.num_rows)
    unpacking.limits.check_total(sum(table.metadata.row_group(group).total_byte_size for group in groups))
    text = next((name for name in _TEXT_COLUMNS if name in schema.names), None)
    columns = [*images, *([text] if text else [])]
    stems: set[str] = set()
    for batch in table.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
        for cells in batch.to_pylist():
            stem = _stem(cells[images[0]], len(stems))
            stem = stem if stem not in stems else f"{len(stems):06d}_{stem}"
            stems.add(stem)
            for name, content in _files(cells, images, text, stem):
                unpacking.add(name, io.BytesIO(content), most_bytes=len(content))


def _image_columns(schema: Schema) -> Sequence[str]:
    """Return the columns with images: structs of `bytes` and `path`, or plain bytes with a name that says so."""
    from pyarrow import types

    found = []
    for column in schema:
        kind = column.type
        plain = types.is_binary(kind) or types.is_large_binary(kind)
        if (
            types.is_struct(kind)
            and {"bytes", "path"} <= {kind.field(at).name for at in range(kind.num_fields)}
        ) or (plain and (_IMAGE_WORDS.search(column.name) or f".{column.name}" in _SUFFIXES)):
            found.append(column.name)
    return found


_SUFFIXES = frozenset(suffix for suffixes in FORMAT_SUFFIXES.values() for suffix in suffixes)


def _stem(cell: Any, row: int) -> str:
    """Return the name of a row's image as it was before it came into the table; else the number of the row."""
    path = cell["path"] if isinstance(cell, dict) else None
    name = path.replace("\\", "/").rpartition("/")[2] if isinstance(path, str) else ""
    return name[: len(name) - len(suffix_of(name))] or f"{row:06d}"


def _files(
    cells: Mapping[str, Any], images: Sequence[str], text: str | None, stem: str
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of one row."""
    for column in images:
        cell = cells[column]
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if not content:
            continue
        folder = f"{_IMAGE_WORDS.sub('', column) or column}/" if len(images) > 1 else ""
        form = format_name(content[:HEAD_BYTES])
        suffix = FORMAT_SUFFIXES[form][0] if form in FORMAT_SUFFIXES else f".{form.lower() or 'bin'}"
        yield f"{folder}{stem}{suffix}", content
        if text is not None and isinstance(cells[text], str):
            yield f"{folder}{stem}.txt", cells[text].encode()
