from __future__ import annotations

from dataclasses import replace

from lorapod.dataset_reader.buckets import BucketRule
from lorapod.datasets.looks.findings import LookCode, look_findings
from lorapod.datasets.looks.image_look import ImageLook

PLAIN = ImageLook(width=1024, height=1024, format="PNG")


def said(**looks: ImageLook) -> list[str]:
    return [
        finding.message for finding in look_findings({f"{name}.png": look for name, look in looks.items()})
    ]


def test_plain_images_have_no_finding() -> None:
    assert said(a=PLAIN, b=replace(PLAIN, rotated=True)) == []


def test_one_sentence_names_all_images_of_a_kind() -> None:
    clear = replace(PLAIN, transparent=True)
    assert said(a=clear, b=clear, c=clear, d=PLAIN) == [
        "3 images have transparency, which trainers see as black: a.png, b.png, c.png."
    ]
    assert said(a=clear) == ["1 image has transparency, which trainers see as black: a.png."]


def test_many_names_are_counted() -> None:
    clear = replace(PLAIN, transparent=True)
    (finding,) = look_findings({f"{number:02}.png": clear for number in range(30)})
    assert finding.message.endswith("07.png, 08.png, 09.png and 20 more.")
    assert len(finding.names) == 30


def test_each_kind_has_its_sentence() -> None:
    assert said(
        a=replace(PLAIN, high_bit_depth=True),
        b=replace(PLAIN, animated=True),
        c=replace(PLAIN, cmyk=True),
        d=replace(PLAIN, profile="Display P3"),
        e=replace(PLAIN, transparent=None),
    ) == [
        "1 image has an alpha channel that was not looked through; trainers see what is transparent as black: e.png.",
        "1 image is grey with 16 bits, which trainers see as white: a.png.",
        "1 image is animated; trainers see the first frame only: b.png.",
        "1 image is CMYK, for print, which trainers convert without a colour profile: colours change: c.png.",
        "1 image has a colour profile other than sRGB (Display P3), which trainers ignore: colours change: d.png.",
    ]


def test_what_a_bucket_cuts_off_is_said_for_each_resolution() -> None:
    looks = {"banner.png": replace(PLAIN, width=20, height=4000), "a.png": PLAIN}
    rules = [BucketRule(resolution=512, step=32), BucketRule(resolution=1024, step=32)]
    found = look_findings(looks, rules)
    assert [finding.code for finding in found] == [LookCode.CROPPED_BY_BUCKET] * len(found)
    assert found[0].names == ["banner.png"]
    assert "bucket at resolution 512: up to " in found[0].message


def test_a_square_crop_is_called_that() -> None:
    (finding,) = look_findings(
        {"a.png": replace(PLAIN, width=2048)}, [BucketRule(resolution=512, square=True)]
    )
    assert "square crop at resolution 512: up to 50% of it is cut off: a.png." in finding.message
