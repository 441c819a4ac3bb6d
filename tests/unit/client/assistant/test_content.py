from __future__ import annotations

import base64

from lorapod.client.assistant.content import IMAGE_MAX_BYTES, IMAGES_MAX, ShownAnswer, ShownImage

PNG = base64.b64encode(b"\x89PNG made up").decode()


def test_images_are_taken_out_and_numbered() -> None:
    shown = ShownAnswer.of(
        {
            "seed": 1,
            "images": [{"filename": "a.png", "content_type": "image/png", "data": PNG}],
            "items": [{"name": "b", "thumbnail": f"data:image/jpeg;base64,{PNG}"}],
        }
    )

    assert shown.answer["seed"] == 1
    assert shown.answer["images"] == [
        {"filename": "a.png", "content_type": "image/png", "data": "image 1 below"}
    ]
    assert shown.answer["items"] == [{"name": "b", "thumbnail": "image 2 below"}]
    assert shown.images == [
        ShownImage(data=PNG, content_type="image/png"),
        ShownImage(data=PNG, content_type="image/jpeg"),
    ]


def test_an_answer_shows_a_few_images() -> None:
    item = {"content_type": "image/png", "data": PNG}

    shown = ShownAnswer.of({"images": [item] * (IMAGES_MAX + 1)})

    assert len(shown.images) == IMAGES_MAX
    assert shown.answer["images"][-1]["data"] == f"left out: an answer shows {IMAGES_MAX} images"


def test_bytes_that_are_no_image_are_left_out_with_what_to_do() -> None:
    weights = base64.b64encode(b"x" * 3000).decode()

    (shown, part, large, damaged) = (
        ShownAnswer.of({"content_type": kind, "data": data, **more})
        for kind, data, more in (
            ("application/octet-stream", weights, {}),
            ("image/png", PNG, {"offset": 0, "eof": False}),
            ("image/png", "AAAA" * (IMAGE_MAX_BYTES // 3 + 2), {}),
            ("image/png", "no base64", {}),
        )
    )

    assert shown.answer["data"] == "left out: 3000 bytes; `lorapod download` saves the file"
    assert part.answer["data"].startswith("left out: ")
    assert large.answer["data"].startswith("left out: an image of ")
    assert damaged.answer["data"].startswith("left out: ")
    assert not [*shown.images, *part.images, *large.images, *damaged.images]


def test_a_small_text_file_is_read() -> None:
    log = {"content_type": "text/plain; charset=utf-8", "data": base64.b64encode("häh".encode()).decode()}

    assert ShownAnswer.of(log).answer == {"content_type": "text/plain; charset=utf-8", "text": "häh"}
