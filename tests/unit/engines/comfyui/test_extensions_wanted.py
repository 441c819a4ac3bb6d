from __future__ import annotations

import pytest

from lorapod.engines.comfyui.extensions.wanted import NAMED_SETS, parse_wanted

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_names_versions_and_commits_are_told_apart() -> None:
    wanted = parse_wanted(
        f"comfyui-kjnodes, was-ns@3.0.1\n https://git.example.com/me/Mine.git@{COMMIT.upper()}"
    )

    assert wanted.refused == {}
    [newest, versioned, repository] = wanted.extensions
    assert (newest.name, newest.version, newest.source) == ("comfyui-kjnodes", None, "comfyui-kjnodes")
    assert (versioned.name, versioned.version, versioned.source) == ("was-ns", "3.0.1", "was-ns@3.0.1")
    assert (repository.name, repository.commit) == ("Mine", COMMIT)
    assert repository.repository == "https://git.example.com/me/Mine.git"


def test_nothing_is_asked_for() -> None:
    wanted = parse_wanted(" , ")

    assert (list(wanted.extensions), dict(wanted.refused)) == ([], {})


def test_the_set_for_video_has_six_extensions_at_commits() -> None:
    wanted = parse_wanted("video")

    assert wanted.refused == {}
    assert [each.name for each in wanted.extensions] == [
        "ComfyUI-GGUF",
        "ComfyUI-Frame-Interpolation",
        "ComfyUI-VideoHelperSuite",
        "ComfyUI_ExtraModels",
        "ComfyUI-Unload-Model",
        "ComfyUI-Easy-Use",
    ]
    assert all(each.commit for each in wanted.extensions)
    assert len(NAMED_SETS["video"]) == 6


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("https://git.example.com/me/Mine.git", "has no commit"),
        (f"https://git.example.com/me/Mine.git@{COMMIT[:7]}", "has no commit"),
        (f"https://git.example.com/me/..@{COMMIT}", "does not end in the name of a repository"),
        (f"https://git.example.com/@{COMMIT}", "does not end in the name of a repository"),
        (f"https://[git.example.com/Mine.git@{COMMIT}", "is not a URL"),
        (f"https://git.example.com:port/Mine.git@{COMMIT}", "is not a URL"),
        (f"https://git.example.com:99999/Mine.git@{COMMIT}", "is not a URL"),
        ("../../etc", "is neither a name of the registry"),
        ("-rf", "is neither a name of the registry"),
        ("name@", "is neither a name of the registry"),
    ],
)
def test_an_entry_that_names_nothing_is_refused_and_the_others_stay(entry: str, problem: str) -> None:
    wanted = parse_wanted(f"{entry} good-one")

    assert [each.name for each in wanted.extensions] == ["good-one"]
    [sentence] = wanted.refused.values()
    assert problem in sentence


def test_credentials_are_shown_nowhere() -> None:
    wanted = parse_wanted(
        f"https://me:secret@git.example.com/Mine.git@{COMMIT} https://me:secret@git.example.com/x"
    )

    [extension] = wanted.extensions
    assert extension.repository == "https://me:secret@git.example.com/Mine.git"
    assert "secret" not in f"{extension.source}{dict(wanted.refused)}"


def test_the_first_of_two_with_one_name_counts() -> None:
    wanted = parse_wanted(f"mine https://git.example.com/Mine.git@{COMMIT} mine")

    assert [each.source for each in wanted.extensions] == ["mine"]
    [sentence] = wanted.refused.values()
    assert "names Mine twice" in sentence


@pytest.mark.parametrize(
    "entry",
    [
        "HTTPS://me:secret@git.example.com/Mine.git",
        "https://me:p@secret@git.example.com/Mine.git",
        "https://me:se/secret@git.example.com/Mine.git",
        "https://git.example.com/Mine.git?token=secret",
        "git+https://me:secret@git.example.com/Mine.git",
        "me:secret@git.example.com/Mine.git",
    ],
)
@pytest.mark.parametrize("end", ["", f"@{COMMIT}", "@main"])
def test_credentials_in_any_place_of_a_url_are_shown_nowhere(entry: str, end: str) -> None:
    wanted = parse_wanted(f"{entry}{end}")

    shown = [*wanted.refused, *wanted.refused.values(), *(each.source for each in wanted.extensions)]
    assert shown
    assert not [text for text in shown if "secret" in text]
