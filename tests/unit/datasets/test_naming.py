from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.datasets.naming import Folders, NamePlan


def names(*paths: str, folders: Folders = Folders.MATTER, present: tuple[str, ...] = ()) -> list[str]:
    return list(NamePlan.of(paths, folders=folders, present=present).names)


ORDINARY = [
    "_DSC0001.JPG",
    "it's me.png",
    "photo, red.png",
    "photo #1.png",
    "IMG_1 & 2.png",
    "(1).png",
    "-1.png",
    "--help.png",
    f"{'n' * 200}.png",
    "🐈‍⬛🎉.png",
    "قطة جميلة.png",
    "חתול.png",
    "日本語.webp",
    "100% $cool {a}=b~.png",
    "a: b?.png",
]


class TestOrdinaryNames:
    @pytest.mark.parametrize("name", ORDINARY)
    def test_stay_as_they_are(self, name: str) -> None:
        plan = NamePlan.of([name])
        assert list(plan.names) == [unicodedata.normalize("NFC", name)]
        assert plan.renamed == {}

    @pytest.mark.parametrize(
        ("name", "plain"),
        [
            (".a.png", "a.png"),
            ("...a.png", "a.png"),
            (" a.png", "a.png"),
            ("a\n\x1b[2Jb.png", "a__[2Jb.png"),
            ("invoice\u202egnp.png", "invoice_gnp.png"),
            (unicodedata.normalize("NFD", "café.png"), "café.png"),
        ],
    )
    def test_a_name_that_trainers_cannot_take_is_made_one_and_told(self, name: str, plain: str) -> None:
        plan = NamePlan.of([name, str(PurePosixPath(name).with_suffix(".txt"))])
        assert list(plan.names) == [plain, plain.replace(".png", ".txt")]
        assert plan.renamed[name] == plain

    def test_a_long_name_is_cut_and_stays_another_than_its_neighbours(self) -> None:
        stems = ["🐈" * 200 + end for end in "ab"]
        made = names(*(f"{stem}.{suffix}" for stem in stems for suffix in ("png", "txt")))
        assert len(set(made)) == 4
        assert [name[:-4] for name in made[::2]] == [name[:-4] for name in made[1::2]]
        assert all(len(name.encode()) <= 204 for name in made)

    def test_letters_of_another_case_are_another_file(self) -> None:
        both = ["Cat.png", "Cat.txt", "cat.png", "cat.txt"]
        assert names(*both) == both

    def test_two_that_become_the_same_are_kept_apart(self) -> None:
        assert names(".a.png", ".a.txt", "a.png", "a.txt") == ["a_2.png", "a_2.txt", "a.png", "a.txt"]
        assert names("a_2.png", ".a.png", "a.png") == ["a_2.png", "a_3.png", "a.png"]
        assert names(*["\x1f.png"] * 3, "\x1e.png") == ["_.png", "__3.png", "__4.png", "__2.png"]
        composed, decomposed = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
        assert names(composed, decomposed) == ["é.png", "é_2.png"]


class TestCaptions:
    def test_keep_their_image(self) -> None:
        decomposed = unicodedata.normalize("NFD", "café.txt")
        assert names("café.png", decomposed) == ["café.png", "café.txt"]
        assert names("A.JPG", "A.TXT", "B.png", "B.Caption") == ["A.JPG", "A.txt", "B.png", "B.caption"]

    @pytest.mark.parametrize(
        ("paths", "expected"),
        [
            (["IMG_1.png", "img_1.txt"], ["IMG_1.png", "IMG_1.txt"]),
            (["1.png", "1.png.txt"], ["1.png", "1.txt"]),
            (["images/1.png", "captions/1.txt"], ["images__1.png", "images__1.txt"]),
            (["a/1.png", "a/1.txt", "b/1.txt"], ["a__1.png", "a__1.txt", "b__1.txt"]),
            (["a.png", "A.png", "a.txt"], ["a.png", "A.png", "a.txt"]),
        ],
    )
    def test_find_it_by_less_than_the_whole_name(self, paths: list[str], expected: list[str]) -> None:
        assert names(*paths) == expected

    def test_find_it_in_the_dataset(self) -> None:
        assert names("img_1.txt", present=("IMG_1.png",)) == ["IMG_1.txt"]
        assert names("img_1.txt", present=("IMG_1.png", "img_1.png")) == ["img_1.txt"]
        assert names("img_1.txt", present=("IMG_1.png", "Img_1.png")) == ["img_1.txt"]


class TestFolders:
    def test_become_part_of_the_name(self) -> None:
        plan = NamePlan.of(["a/1.png", "a/1.txt", "b/1.png", "b/1.txt"])
        assert list(plan.names) == ["a__1.png", "a__1.txt", "b__1.png", "b__1.txt"]
        assert plan.renamed["b/1.png"] == "b__1.png"

    def test_a_common_one_says_nothing(self) -> None:
        plan = NamePlan.of(["my cats/raw/1.png", "my cats/raw/deep/2.png"])
        assert list(plan.names) == ["1.png", "deep__2.png"]
        assert plan.renamed == {"my cats/raw/deep/2.png": "deep__2.png"}

    def test_names_that_meet_are_kept_apart(self) -> None:
        assert names("a/b.png", "a__b.png", "a__b.txt") == ["a__b.png", "a__b_2.png", "a__b_2.txt"]

    def test_of_servers_only_tell_apart(self) -> None:
        paths = ("x/one/a.png", "x/one/a.txt", "x/two/a.png", "y/b.png")
        assert names(*paths, folders=Folders.TELL_APART) == [
            "one__a.png",
            "one__a.txt",
            "two__a.png",
            "b.png",
        ]
        assert names("x/a.png", "x/a.png", folders=Folders.TELL_APART) == ["a.png", "a_2.png"]

    def test_kohyas_are_kept_apart_with_their_repeats(self) -> None:
        plan = NamePlan.of(["set/10_cat/1.png", "set/10_cat/1.txt", "set/2_dog/1.png", "set/metadata.csv"])
        assert list(plan.names) == ["10_cat/1.png", "10_cat/1.txt", "2_dog/1.png", "metadata.csv"]
        assert "10 times those in 10_cat" in plan.notes[0]
        assert "num_repeats" in plan.notes[0]
        assert plan.renamed == {}

    def test_numbers_that_are_no_repeats_are_part_of_the_name(self) -> None:
        plan = NamePlan.of(["1_beach/1.png", "2_city/1.png", "3_hills/1.png"])
        assert list(plan.names) == ["1_beach__1.png", "2_city__1.png", "3_hills__1.png"]
        assert "not taken as repeats" in plan.notes[0]
        assert "10_cat" in NamePlan.of(["10_cat/1.png", "10_cat/2.png"]).notes[0]
        for quiet in (["1_cat/1.png", "1_dog/1.png"], ["2024_summer/1.png", "01_x/1.png"]):
            assert NamePlan.of(quiet).notes == []

    def test_control_images_lie_beside_their_targets_with_the_same_stems(self) -> None:
        plan = NamePlan.of(["s/target/1.jpg", "s/target/1.txt", "s/control/1.PNG", "s/mask/1.png"])
        assert list(plan.names) == ["1.jpg", "1.txt", "_controls/1.png", "mask/_controls/1.png"]
        assert "control_path" in plan.notes[0]
        assert "mask_path" in plan.notes[1]
        assert names("target/a/1.png", "control/a/1.png") == ["a__1.png", "_controls/a__1.png"]
        assert names("before/1.png", "after/1.png") == ["_controls/1.png", "1.png"]

    def test_a_folder_called_control_alone_is_a_dataset(self) -> None:
        assert names("control/1.png", "control/1.txt") == ["1.png", "1.txt"]


@pytest.mark.parametrize("folders", Folders)
@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_paths_become_names_that_differ(folders: Folders, paths: list[str]) -> None:
    made = names(*paths, folders=folders)
    assert len(set(made)) == len(paths)
    for name in made:
        assert 0 < len(PurePosixPath(name).name.encode()) <= 255
        assert not PurePosixPath(name).name.startswith(".")
        assert ".." not in PurePosixPath(name).parts


PATHS = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "a/", "b/", "a/b/", "control/", "10_x/", "2_y/"]),
        st.sampled_from(["1", "2", "A", "a", ".1", "é", "e\u0301", "1.png"]),
        st.sampled_from([".png", ".txt", ".TXT", ".json", ".mp4", ""]),
    ),
    unique=True,
    max_size=12,
)


@pytest.mark.parametrize("folders", Folders)
@given(PATHS)
def test_a_caption_beside_its_image_stays_beside_it(folders: Folders, paths: list[str]) -> None:
    made = dict(zip(paths, names(*paths, folders=folders), strict=True))
    assert len(set(made.values())) == len(made)
    for path in paths:
        image = f"{path.removesuffix('.txt')}.png"
        if path.endswith(".txt") and image in made and f"{path.removesuffix('.txt')}.TXT" not in made:
            assert made[path] == made[image].removesuffix(".png") + ".txt"
