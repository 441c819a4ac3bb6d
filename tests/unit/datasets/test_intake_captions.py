"""Captions as people have them, and as the trainer finds them after the intake."""

from __future__ import annotations

import json

import pytest
from tests.unit.datasets.library_bench import LibraryBench, incoming, packed, picture

from lorapod.datasets.library import Receipt
from lorapod.errors import InvalidInput

PNG = picture()
TEXT = "a café, “quoted”\nsecond line"


def caption(bench: LibraryBench, name: str = "A.txt") -> str:
    return (bench.folder / name).read_text(encoding="utf-8")


def said(receipt: Receipt) -> str:
    return " ".join(receipt.warnings)


def conversions(receipt: Receipt) -> list[str]:
    return [warning for warning in receipt.warnings if "stored as UTF-8" in warning]


class TestEncodings:
    @pytest.mark.parametrize(
        ("encoding", "told"),
        [
            ("utf-8", None),
            ("utf-8-sig", None),
            ("utf-16", "UTF-16"),
            ("utf-16-le", "UTF-16"),
            ("utf-16-be", "UTF-16"),
            ("utf-32", "UTF-32"),
            ("cp1252", "Windows-1252"),
        ],
    )
    def test_are_converted_and_said(self, bench: LibraryBench, encoding: str, told: str | None) -> None:
        content = TEXT.replace("\n", "\r\n").encode(encoding)
        receipt = bench.receive(incoming("A.png", PNG), incoming("A.txt", content))
        assert caption(bench) == TEXT
        assert receipt.summary.captions == 1
        assert conversions(receipt) == ([f"A.txt: read as {told}, stored as UTF-8."] if told else [])

    @pytest.mark.parametrize("text", ["кошка на окне", "猫の写真、屋外", "一只猫在窗边"])
    def test_of_other_languages_too(self, bench: LibraryBench, text: str) -> None:
        encoding = {"к": "cp1251", "猫": "cp932", "一": "gbk"}[text[0]]
        bench.receive(incoming("A.png", PNG), incoming("A.txt", text.encode(encoding)))
        assert caption(bench) == text

    def test_many_are_said_in_one_sentence(self, bench: LibraryBench) -> None:
        files = [incoming(f"{number}.txt", "café".encode("cp1252")) for number in range(9)]
        assert len(conversions(bench.receive(*files))) == 1

    @pytest.mark.parametrize(
        "content", [b"\xff\xfe\0", b"\x81\x98 \xff\x8d", b"a\0b", bytes(range(128, 256))]
    )
    def test_what_is_no_text_is_refused(self, bench: LibraryBench, content: bytes) -> None:
        with pytest.raises(InvalidInput, match=r"a\.txt"):
            bench.receive(incoming("a.txt", content))


class TestForms:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("A.TXT", b"a cat"),
            ("A.caption", b"a cat"),
            ("A.Caption", b"a cat"),
            ("A.json", b'{"caption": "a cat"}'),
            ("A.json", b'\xef\xbb\xbf{"text": "a cat"}'),
            ("A.json", b'{"tags": ["a cat"]}'),
            ("A.png.txt", b"a cat"),
            (
                "metadata.jsonl",
                b'{"file_name": "B.png", "text": "b"}\n\n{"file_name": "A.JPG", "text": "a cat"}',
            ),
            ("metadata.csv", "file_name,text\r\nA.JPG,a cat\r\nB.png,b".encode("utf-16")),
            ("metadata.csv", b'\xef\xbb\xbffile_name;caption\nA.JPG;"a cat"'),
        ],
    )
    @pytest.mark.parametrize("order", ["together", "caption first", "image first"])
    def test_are_written_as_the_trainer_reads_them(
        self, bench: LibraryBench, name: str, content: bytes, order: str
    ) -> None:
        image = "A.png" if "png" in name else "A.JPG"
        files = [incoming(image, PNG), incoming(name, content)]
        if order == "together":
            receipt = bench.receive(*files)
        else:
            first, second = files if order == "image first" else files[::-1]
            bench.receive(first, trigger_word="ohwx")
            receipt = bench.receive(second, trigger_word="ohwx")
        assert receipt.summary.captions == 1
        assert caption(bench).removeprefix("ohwx, ") == "a cat"

    def test_a_form_that_was_written_as_text_is_no_warning(self, bench: LibraryBench) -> None:
        receipt = bench.receive(
            incoming("A.png", PNG),
            incoming("A.caption", b"a cat"),
            incoming("B.png", PNG),
            incoming("metadata.jsonl", b'{"file_name": "B.png", "text": "a dog"}'),
        )
        assert "not read" not in said(receipt)

    def test_a_table_in_an_archive_names_files_beside_it(self, bench: LibraryBench) -> None:
        files = {
            "set/train/metadata.jsonl": b'{"file_name": "1.png", "text": "one"}',
            "set/train/1.png": PNG,
            "set/test/metadata.csv": b'file_name,prompt\n"deep/1.png","two, three"',
            "set/test/deep/1.png": PNG,
        }
        bench.receive(incoming("set.zip", packed(files)))
        assert caption(bench, "train__1.txt") == "one"
        assert caption(bench, "test__deep__1.txt") == "two, three"

    def test_a_table_names_files_in_other_letters_or_without_their_folder(self, bench: LibraryBench) -> None:
        rows = [{"file_name": "images/a.png", "text": "one"}, {"file_name": "B.PNG", "text": "two"}]
        table = "\n".join(map(json.dumps, rows)).encode()
        bench.receive(incoming("A.png", PNG), incoming("b.png", PNG), incoming("metadata.jsonl", table))
        assert (caption(bench), caption(bench, "b.txt")) == ("one", "two")

    def test_columns_of_a_table_are_known_in_any_letters(self, bench: LibraryBench) -> None:
        bench.receive(incoming("A.png", PNG), incoming("metadata.csv", b"File_Name, Caption\nA.png,a cat\n"))
        assert caption(bench) == "a cat"

    @pytest.mark.parametrize("name", ["A.txt", "A.caption", "A.json", "metadata.jsonl", "metadata.csv"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_a_web_page_is_no_caption(self, bench: LibraryBench, name: str, encoding: str) -> None:
        page = "<!DOCTYPE html>\n<html><body>Please log in</body></html>"
        receipt = bench.receive(incoming("A.png", PNG), incoming(name, page.encode(encoding)))
        [refused] = receipt.rejected
        assert refused.error == f"{name} is a web page (HTML), not a caption."
        assert receipt.summary.captions == 0

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("<html>log in</html>", "is a web page (HTML)"),
            ("a\0cat", "NUL"),
            ("\ud800", "Unicode"),
            ("é" * 600_000, "1000000 at most"),
        ],
    )
    @pytest.mark.parametrize("name", ["A.json", "metadata.jsonl"])
    def test_a_text_that_edits_refuse_is_no_caption_in_json_either(
        self, bench: LibraryBench, name: str, text: str, problem: str
    ) -> None:
        row = {"caption": text} if name == "A.json" else {"file_name": "A.png", "text": text}
        sent = json.dumps(row, ensure_ascii=text == "\ud800").encode()
        receipt = bench.receive(incoming("A.png", PNG), incoming(name, sent))
        assert problem in " ".join([said(receipt), *(one.error for one in receipt.rejected)])
        assert receipt.summary.captions == 0

    def test_a_line_of_a_table_that_cannot_be_read_is_said(self, bench: LibraryBench) -> None:
        table = b'{"file_name": "A.png", "text": "one"}\n\n{"file_name": "b.png", text}\n'
        receipt = bench.receive(incoming("A.png", PNG), incoming("metadata.jsonl", table))
        assert receipt.warnings == ["metadata.jsonl: line 3 cannot be read."]

    def test_a_table_gives_no_image_the_text_of_another_folder(self, bench: LibraryBench) -> None:
        rows = [{"file_name": f"{folder}/A.png", "text": folder} for folder in ("x", "y", "z")]
        table = "\n".join(map(json.dumps, rows)).encode()
        content = {"y/A.png": PNG, "q/b.png": PNG, "metadata.jsonl": table}
        bench.receive(incoming("all.zip", packed(content)))
        assert caption(bench, "y__A.txt") == "y"
        assert not (bench.folder / "q__b.txt").exists()

    def test_a_table_without_its_columns_is_said(self, bench: LibraryBench) -> None:
        receipt = bench.receive(incoming("A.png", PNG), incoming("metadata.csv", b"image,label\nA.png,1"))
        assert "file_name" in said(receipt)
        assert not (bench.folder / "A.txt").exists()

    def test_a_large_table_is_taken(self, bench: LibraryBench) -> None:
        rows = [json.dumps({"file_name": f"{number}.png", "text": "x" * 400}) for number in range(3000)]
        bench.receive(incoming("2.png", PNG), incoming("metadata.jsonl", "\n".join(rows).encode()))
        assert caption(bench, "2.txt") == "x" * 400

    def test_text_beside_the_image_counts_more(self, bench: LibraryBench) -> None:
        bench.receive(
            incoming("A.png", PNG),
            incoming("A.txt", b"mine"),
            incoming("A.caption", b"other"),
            incoming("A.json", b'{"caption": "another"}'),
            incoming("metadata.jsonl", b'{"file_name": "A.png", "text": "a fourth"}'),
        )
        assert caption(bench) == "mine"
        bench.receive(incoming("A.caption", b"a fifth"))
        assert caption(bench) == "mine"

    def test_other_json_is_no_caption(self, bench: LibraryBench) -> None:
        bench.receive(incoming("A.png", PNG), incoming("A.json", b'{"seed": 1}'), incoming("b.json", b"[1]"))
        assert not list(bench.folder.glob("*.txt"))


class TestTriggerWord:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("A.caption", b"a cat"),
            ("A.TXT", b"a cat"),
            ("A.json", b'{"caption": "a cat"}'),
            ("metadata.jsonl", b'{"file_name": "A.png", "text": "a cat"}'),
        ],
    )
    @pytest.mark.parametrize("again", ["ohwx", None, "sks"])
    def test_never_hides_a_caption(
        self, bench: LibraryBench, name: str, content: bytes, again: str | None
    ) -> None:
        bench.receive(incoming("A.png", PNG), incoming(name, content), trigger_word="ohwx")
        assert caption(bench) == "ohwx, a cat"

        bench.receive(incoming("A.png", PNG), training_name="late", trigger_word="ohwx")
        bench.folder = bench.workspace.training_data / "late"
        assert caption(bench) == "ohwx"
        bench.receive(incoming(name, content), training_name="late", trigger_word=again)
        assert caption(bench) == (f"{again}, a cat" if again else "a cat")

    def test_a_new_caption_in_another_form_replaces_what_was_made_of_the_old_one(
        self, bench: LibraryBench
    ) -> None:
        bench.receive(incoming("A.png", PNG), incoming("A.caption", b"old"))
        bench.receive(incoming("A.caption", b"new"))
        assert caption(bench) == "new"
        (bench.folder / "A.txt").write_text("edited by hand")
        bench.receive(incoming("A.caption", b"newer"))
        assert caption(bench) == "edited by hand"

    def test_what_the_worker_notes_is_no_part_of_the_dataset(self, bench: LibraryBench) -> None:
        receipt = bench.receive(incoming("A.png", PNG), trigger_word="ohwx")
        assert "made_captions" not in said(receipt)
        assert receipt.summary.total_bytes == len(PNG) + len("ohwx")
