from __future__ import annotations

from typing import Any

import pytest

from lorapod.engines.comfyui.outputs import outputs_in


def shown(filename: str, **more: Any) -> dict[str, Any]:
    return {"filename": filename, "subfolder": "", "type": "output", **more}


def test_files_are_found_under_whatever_key_a_node_uses() -> None:
    entry = {
        "outputs": {
            "1": {"images": [shown("clip.mp4")], "animated": [True]},
            "2": {"gifs": [shown("a.gif", format="image/gif", fullpath="/x")]},
            "3": {"audio": [shown("a.flac")]},
            "4": {"latents": [shown("a.latent")]},
            "5": {"3d": [shown("a.glb")]},
        }
    }

    assert [file.filename for file in outputs_in(entry).wanted] == [
        "clip.mp4",
        "a.gif",
        "a.flac",
        "a.latent",
        "a.glb",
    ]
    lists = ["images", "gifs", "audio", "latents", "3d"]
    assert [file.listed_as for file in outputs_in(entry).wanted] == lists


def test_files_come_in_the_order_of_the_workflow() -> None:
    entry = {
        "prompt": [1, "id", {"b": {}, "a": {}, "c": {}}, {}, ["a", "b"]],
        "outputs": {name: {"images": [shown(f"{name}.png")]} for name in ("x", "a", "c", "b")},
    }
    assert [file.filename[0] for file in outputs_in(entry).wanted] == ["b", "a", "c", "x"]


def test_a_file_that_two_nodes_show_is_one() -> None:
    entry = {"outputs": {"1": {"images": [shown("a.png")]}, "2": {"images": [shown("a.png")]}}}

    assert len(outputs_in(entry).wanted) == 1


def test_a_file_in_two_lists_belongs_to_the_first() -> None:
    entry = {"outputs": {"1": {"images": [shown("a.png")], "files": [shown("a.png")]}}}

    assert [file.listed_as for file in outputs_in(entry).wanted] == ["images"]


def test_previews_count_only_where_there_is_nothing_else() -> None:
    preview, saved = {"images": [shown("p.png", type="temp")]}, {"images": [shown("a.png")]}

    assert [file.filename for file in outputs_in({"outputs": {"1": preview}}).wanted] == ["p.png"]
    assert [file.filename for file in outputs_in({"outputs": {"1": preview, "2": saved}}).wanted] == ["a.png"]
    assert outputs_in({"outputs": {"1": preview, "2": {"text": ["hello"]}}}).wanted == []


def test_what_somebody_gave_it_is_no_result() -> None:
    assert outputs_in({"outputs": {"1": {"images": [shown("in.png", type="input")]}}}).wanted == []


@pytest.mark.parametrize("text", [["hello"], "hello"])
def test_texts_are_results(text: Any) -> None:
    assert [found.text for found in outputs_in({"outputs": {"1": {"text": text}}}).texts] == ["hello"]


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        [],
        {"1": None},
        {"1": {"images": None}},
        {"1": {"images": [{}, 3, None, {"filename": 3}]}},
        {"1": {"text": [" "]}},
    ],
)
def test_odd_entries_hold_nothing(outputs: Any) -> None:
    found = outputs_in({"outputs": outputs})

    assert (list(found.files), list(found.texts)) == ([], [])
