from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

import pytest

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.frame_rule import FrameRule
from lorapod.datasets.check import inspect
from lorapod.datasets.looks.frame_counts import frame_warnings, frames_advice
from lorapod.datasets.looks.video_container import check_video
from lorapod.datasets.looks.video_look import VideoLook, VideoProbe
from lorapod.errors import InvalidInput

CLIP = VideoLook(width=64, height=48, frames=60, fps=24.0, duration_s=2.5)


def video(path: Path, *, frames: int = 12, rate: int = 12) -> Path:
    """Write a tiny real clip."""
    av = pytest.importorskip("av", reason="PyAV is of the extra `dev`")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            for packet in stream.encode(av.VideoFrame(64, 48, "yuv420p")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def ffprobe(folder: Path, answer: str) -> VideoProbe:
    """A program that answers as ffprobe does."""
    (path := folder / "ffprobe").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return VideoProbe(argv=(str(path),), is_ffprobe=True)


def test_real_clips_are_known_and_opened(tmp_path: Path) -> None:
    clips = [video(tmp_path / name) for name in ("a.mp4", "b.mov", "c.mkv", "d.avi")]
    (bad := tmp_path / "bad.mp4").write_bytes(clips[0].read_bytes()[:200])
    for path in clips:
        check_video(path, name=path.name)
    probe = VideoProbe.find()
    assert probe is not None
    looks = probe.look([bad, *clips])
    assert looks[bad].error == "Invalid data found when processing input"
    for path in clips:
        look = looks[path]
        assert (look.error, look.width, look.height, look.fps) == ("", 64, 48, 12.0)
        assert look.duration_s == pytest.approx(1.0, abs=0.1)
        assert look.frames == pytest.approx(12, abs=1)


def test_ffprobe_is_read_too(tmp_path: Path) -> None:
    probe = ffprobe(
        tmp_path,
        '{"streams": [{"width": 64, "height": 48, "avg_frame_rate": "30000/1001", "nb_frames": "75",'
        ' "duration": "2.5025", "side_data_list": [{"rotation": -90}]}], "format": {}}',
    )
    path = tmp_path / "a.mp4"
    assert probe.look([path]) == {
        path: VideoLook(width=48, height=64, frames=75, fps=29.97, duration_s=2.502)
    }


def test_a_file_without_pictures_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert ffprobe(tmp_path, '{"streams": []}').look([path])[path].error == "it has no video stream"


def test_a_program_that_is_away_leaves_the_clips_unknown(tmp_path: Path) -> None:
    for is_ffprobe in (True, False):
        assert (
            VideoProbe(argv=(str(tmp_path / "away"),), is_ffprobe=is_ffprobe).look([tmp_path / "a.mp4"]) == {}
        )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"a\.mp4 is empty: 0 bytes"),
        (b"just text, no clip", r"a\.mp4 is not a video but text\."),
        (b"GIF89a" + bytes(300), "is not a video but GIF"),
        (b"\0\0\0\x1cftypheic" + bytes(300), "is not a video but HEIC"),
        (b"RIFF\0\0\0\0WEBP" + bytes(300), "is not a video but WEBP"),
        (b"PK\3\4" + bytes(300), "is not a video but zip"),
        (bytes(300), r"a\.mp4 is not a video\."),
    ],
)
def test_what_is_no_video_is_refused_whatever_its_name(tmp_path: Path, content: bytes, sentence: str) -> None:
    (path := tmp_path / "f00").write_bytes(content)
    with pytest.raises(InvalidInput, match=sentence):
        check_video(path, name="a.mp4")


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\x18ftypisom", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11"],
)
def test_containers_are_known_by_their_first_bytes(tmp_path: Path, head: bytes) -> None:
    (path := tmp_path / "a.mp4").write_bytes(head + bytes(200))
    check_video(path, name="a.mp4")


@pytest.mark.parametrize(
    ("arch", "frames"),
    [("wan21:14b", [41, 81]), ("wan22_5b", [41, 121]), ("ltx2.3", [9, 121]), ("minimax_h3", [39, 107]), (None, [9, 17])],
)  # fmt: skip
def test_the_numbers_of_frames_are_the_models(arch: str | None, frames: list[int]) -> None:
    rule = FrameRule.of(arch)
    for count in frames:
        assert rule.fits(count)
        assert not rule.fits(count + 1)
        assert rule.largest(count + 3) == count


def test_clips_without_num_frames_get_the_number_that_fits() -> None:
    assert frames_advice({"a.mp4": CLIP, "b.mp4": None}, FrameRule.of("wan21:14b")) == (
        "2 clips are not trained on, because the dataset in the config has no `num_frames` above 1: a.mp4, b.mp4. "
        "Set it to 37 (4 n + 1; the shortest clip has 2.5 s, the model 16 frames per second), "
        "or set `auto_frame_count: true`."
    )
    assert "for example 65, or" in frames_advice({"a.mp4": None}, FrameRule.of("ltx2"))


@pytest.mark.parametrize("arch", ["sd1", "sdxl", "flux", "qwen_image_edit_plus", "zimage:turbo"])
def test_clips_for_a_model_of_images_get_no_number(arch: str) -> None:
    assert frames_advice({"a.mp4": CLIP}, FrameRule.of(arch)) == (
        f"1 clip is not trained on, because the model ({arch.partition(':')[0]}) learns from images only: a.mp4."
    )


def test_num_frames_that_no_model_takes_are_said() -> None:
    rule = FrameRule.of("wan21")
    assert list(frame_warnings({"a.mp4": CLIP}, 41, rule)) == []
    assert list(frame_warnings({"a.mp4": CLIP, "b.mp4": None}, 40, rule)) == [
        "num_frames: 40 is not of the form 4 n + 1, which the model takes; use 37 or 41."
    ]
    assert list(frame_warnings({"a.mp4": CLIP}, 81, rule)) == [
        "1 clip has fewer than the 81 frames of num_frames, so that frames are repeated: a.mp4."
    ]


class TestDatasets:
    @pytest.fixture
    def clips(self, tmp_path: Path) -> Path:
        (folder := tmp_path / "clips").mkdir()
        video(folder / "a.mp4", frames=36)
        (folder / "a.txt").write_text("a cat walks")
        return folder

    def entry(self, folder: Path, **section: object) -> DatasetEntry:
        entry = DatasetEntry.from_config({"folder_path": str(folder), **section}, place="d", arch="wan21:14b")
        assert entry is not None
        return entry

    def test_clips_and_their_captions_count(self, clips: Path) -> None:
        summary = inspect(DatasetEntry(folder=clips))
        assert (summary.videos, summary.captions, list(summary.errors)) == (1, 1, [])

    def test_without_num_frames_the_number_is_said_at_once(self, clips: Path) -> None:
        said = " ".join(inspect(self.entry(clips)).warnings)
        assert "1 clip is not trained on, because the dataset in the config has no `num_frames`" in said
        assert "Set it to 45 (4 n + 1; the shortest clip has 3.0 s, the model 16 frames per second)" in said

    def test_with_num_frames_that_fit_nothing_is_said(self, clips: Path) -> None:
        assert not any("frames" in said for said in inspect(self.entry(clips, num_frames=33)).warnings)

    def test_a_clip_that_is_none_is_refused_whatever_the_config(self, clips: Path) -> None:
        (clips / "b.mp4").write_bytes(b"<html>not here</html>")
        (clips / "c.mp4").write_bytes((clips / "a.mp4").read_bytes()[:300])
        for entry in (DatasetEntry(folder=clips), self.entry(clips), self.entry(clips, num_frames=33)):
            errors = {error["field"]: error["error"] for error in inspect(entry).errors}
            assert errors.pop("b.mp4") == "b.mp4 is not a video but text."
            assert all(error.startswith("c.mp4 cannot be opened as a video: ") for error in errors.values())
            assert len(errors) == (0 if entry.num_frames is None else 1)

    def test_a_worker_that_cannot_look_inside_says_so(
        self, clips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lorapod.datasets.looks.clips._probe", lambda: None)
        said = inspect(self.entry(clips, num_frames=33)).warnings
        assert "This worker has neither PyAV nor ffprobe, so it did not look into a.mp4." in said
