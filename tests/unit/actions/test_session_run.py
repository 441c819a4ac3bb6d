from __future__ import annotations

import pytest

from lorapod.actions.session_run import _message
from lorapod.wire.uploads import UploadFailure, UploadsView


def refused(key: str) -> UploadFailure:
    return UploadFailure(target="supabase", key=key, error="The store refuses it.")


@pytest.mark.parametrize(
    ("uploads", "told"),
    [
        (None, "Training completed successfully"),
        (UploadsView(targets=[], sent=3, pending=0), "Training completed successfully"),
        (
            UploadsView(targets=[], sent=1, pending=2, failed=[refused("a"), refused("b")]),
            "Training completed, but a (and 1 more) could not be uploaded: The store refuses it.",
        ),
        (
            UploadsView(targets=[], sent=1, pending=3, failed=[refused("a")]),
            "Training completed, but a could not be uploaded: The store refuses it. 2 more files are still being uploaded",
        ),
        (
            UploadsView(targets=[], sent=0, pending=2, failed=[refused("")]),
            "Training completed, but nothing could be uploaded: The store refuses it.",
        ),
        (
            UploadsView(targets=[], sent=1, pending=2),
            "Training completed; 2 files are still being uploaded",
        ),
    ],
)
def test_what_was_not_sent_is_told(uploads: UploadsView | None, told: str) -> None:
    assert _message(uploads) == told
