"""Generations at SwarmUI, and what becomes of them when it fails, against the stand-in."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.servers.ports import free_port
from tests.servers.swarmui import Fault, SwarmStandIn

from lorapod.clock import SystemClock
from lorapod.engines.port import Generation, GenerationResult, GenerationStopped, LoraUse
from lorapod.engines.swarmui import adapter as adapter_module
from lorapod.engines.swarmui import connection as connection_module
from lorapod.engines.swarmui import generating as generating_module
from lorapod.engines.swarmui import options as options_module
from lorapod.engines.swarmui.adapter import SwarmUIEngine
from lorapod.engines.swarmui.loras import ModelRoots
from lorapod.engines.swarmui.options import SwarmOptions
from lorapod.errors import (
    InsufficientStorage,
    InvalidInput,
    NotFound,
    Unsupported,
    UpstreamError,
    WorkerError,
    WorkerTimeout,
)
from lorapod.testing.clock import FakeClock
from lorapod.testing.engine import RecordedRun


@pytest.fixture
def server() -> Iterator[SwarmStandIn]:
    stand_in = SwarmStandIn()
    with stand_in.running():
        yield stand_in


class Bench:
    """An engine for the stand-in, and the folders of its generations."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        self.engine = SwarmUIEngine(
            SwarmOptions(**{"address": url, "keep_free_bytes": 0, **options}), clock=SystemClock()
        )
        self.folder = folder
        self.run = RecordedRun()

    def generation(self, **fields: Any) -> Generation:
        folder, scratch = self.folder / "output", self.folder / "scratch"
        folder.mkdir(exist_ok=True)
        scratch.mkdir(exist_ok=True)
        plain: dict[str, Any] = {"process_id": "generate_1", "prompt": "a cat", "model": "tiny", "seed": 7}
        return Generation(**{**plain, "folder": folder, "scratch": scratch, **fields})

    def generate(self, **fields: Any) -> GenerationResult:
        return self.engine.generate(self.generation(**fields), self.run)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "output").iterdir())


@pytest.fixture
def bench(server: SwarmStandIn, tmp_path: Path) -> Bench:
    return Bench(server.url, tmp_path)


def seeds(made: GenerationResult) -> list[int | None]:
    return [file.seed for file in made.files]


class TestPictures:
    def test_they_come_in_order_with_their_seeds(self, bench: Bench, server: SwarmStandIn) -> None:
        made = bench.generate(num_images=3, width=32, height=16)

        assert seeds(made) == [7, 8, 9]
        assert [file.path.name for file in made.files] == ["image_000.png", "image_001.png", "image_002.png"]
        with Image.open(made.files[1].path) as picture:
            assert picture.size == (32, 16)
            assert picture.getpixel((0, 0)) == (8, 0, 0)
        assert made.warnings == []
        assert set(made.timings) == {"ready_s", "generate_s"}

    def test_progress_is_told(self, bench: Bench, server: SwarmStandIn) -> None:
        bench.generate(num_images=2, steps=4)

        percents = [told.percent for told in bench.run.reported if told.percent is not None]
        assert percents == sorted(percents)
        assert len(percents) == 8
        assert {told.total_images for told in bench.run.reported} == {2}

    def test_names_with_blanks_umlauts_and_signs_are_fetched(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        bench.generate()

        assert server.work.views == ["View/local/raw/2026-01-01/0000-a b ä#0.png"]

    def test_pictures_inside_the_message_are_kept(self, bench: Bench, server: SwarmStandIn) -> None:
        made = bench.generate(params={"donotsave": True})

        with Image.open(made.files[0].path) as picture:
            assert picture.getpixel((0, 0)) == (7, 0, 0)
        assert server.work.views == []

    def test_what_swarmui_takes_back_is_not_answered(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.discards = (1,)

        made = bench.generate(num_images=3)

        assert seeds(made) == [7, 9]
        assert bench.files() == ["image_000.png", "image_002.png"]
        assert made.warnings == ["SwarmUI made 2 of 3 images: the others were refused there."]

    def test_a_grid_of_them_is_nobodys_picture(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.grid = True

        assert len(bench.generate(num_images=2).files) == 2
        server.no_sockets = True
        assert len(bench.generate(num_images=1, params={"batchsize": 2}).files) == 2

    def test_a_batch_has_a_file_for_each(self, bench: Bench, server: SwarmStandIn) -> None:
        made = bench.generate(num_images=2, params={"batchsize": 2})

        assert len(made.files) == 4
        assert len({file.path.read_bytes() for file in made.files}) == 4

    def test_unknown_parameters_are_named_and_others_passed_on(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        made = bench.generate(params={"sampler": "euler", "CFG Scale": 3, "stepz": 9})

        assert made.warnings == ["SwarmUI does not know the parameter 'stepz': left out."]
        (asked,) = server.fields_of("GenerateText2ImageWS")
        assert (asked["sampler"], asked["CFG Scale"], asked["stepz"]) == ("euler", 3, 9)

    def test_a_model_taken_for_another_is_named(self, bench: Bench, server: SwarmStandIn) -> None:
        made = bench.generate(model="tiny-tur")

        assert made.warnings == [
            "SwarmUI has no model 'tiny-tur' and takes 'Official/tiny-turbo.safetensors' instead."
        ]

    def test_who_names_no_model_gets_one_and_is_told(self, bench: Bench, server: SwarmStandIn) -> None:
        made = bench.generate(model=None)

        assert made.warnings == [
            "No model was named, so SwarmUI was asked for 'Official/tiny-turbo.safetensors'."
        ]
        assert bench.generate(model=None, params={"Model": "tiny"}).warnings == []
        server.models.sets["Stable-Diffusion"].clear()
        with pytest.raises(InvalidInput, match="No model input given"):
            bench.generate(model=None)

    def test_an_input_picture_goes_along(self, bench: Bench, server: SwarmStandIn, tmp_path: Path) -> None:
        image = tmp_path / "in"
        Image.new("RGB", (8, 8)).save(image, "WEBP")

        bench.generate(image=image, strength=0.3)

        (asked,) = server.fields_of("GenerateText2ImageWS")
        assert asked["initimage"].startswith("data:image/webp;base64,")
        assert asked["initimagecreativity"] == 0.3

    def test_a_mask_and_images_by_name_go_along(
        self, bench: Bench, server: SwarmStandIn, tmp_path: Path
    ) -> None:
        for name, form in (("in", "PNG"), ("mask", "PNG"), ("style", "JPEG"), ("pose", "WEBP")):
            Image.new("RGB", (8, 8)).save(tmp_path / name, form)

        made = bench.generate(
            image=tmp_path / "in",
            mask=tmp_path / "mask",
            named_inputs={"style.jpg": tmp_path / "style", "pose.webp": tmp_path / "pose"},
        )

        (asked,) = server.fields_of("GenerateText2ImageWS")
        assert asked["maskimage"].startswith("data:image/png;base64,")
        assert [each.partition(";")[0] for each in asked["promptimages"]] == [
            "data:image/jpeg",
            "data:image/webp",
        ]
        assert made.warnings == []

    def test_a_large_one_goes_straight_to_disk(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.content = bytes(range(256)) * (40 << 12)

        made = bench.generate()

        digest = hashlib.sha256(server.work.content).digest()
        assert hashlib.sha256(made.files[0].path.read_bytes()).digest() == digest

    def test_no_previews_are_asked_for_unless_the_caller_wants_them(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        bench.generate()
        bench.generate(params={"No Previews": False})

        first, second = server.fields_of("GenerateText2ImageWS")
        assert first["nopreviews"] is True
        assert "nopreviews" not in second

    def test_one_session_serves_all_generations(self, bench: Bench, server: SwarmStandIn) -> None:
        for _ in range(3):
            bench.generate()

        assert server.sessions_given == 1


class TestWithoutWebsocket:
    def test_each_picture_has_a_request_and_the_same_seed(self, bench: Bench, server: SwarmStandIn) -> None:
        with_socket = [file.path.read_bytes() for file in bench.generate(num_images=3).files]
        server.no_sockets = True

        made = bench.generate(num_images=3)

        assert seeds(made) == [7, 8, 9]
        assert [file.path.read_bytes() for file in made.files] == with_socket
        assert [fields["images"] for fields in server.fields_of("GenerateText2Image")] == [1, 1, 1]
        assert any("no websocket" in line for line in bench.run.lines)

    def test_it_is_stopped_as_well(self, bench: Bench, server: SwarmStandIn) -> None:
        server.no_sockets = True
        server.work.step_s = 0.05
        threading.Timer(0.3, bench.run.stop.set).start()

        with pytest.raises(GenerationStopped):
            bench.generate(steps=1000)

        assert server.work.interrupts == 1
        until_idle(server)

    def test_an_error_in_its_200_is_told(self, bench: Bench, server: SwarmStandIn) -> None:
        server.no_sockets = True

        with pytest.raises(UpstreamError, match="out of stock"):
            bench.generate(prompt="please fail")


class TestFailures:
    @pytest.mark.parametrize(
        ("fields", "kind", "sentence"),
        [
            ({"model": "flux"}, NotFound, "are you sure that model name is correct"),
            ({"prompt": "please fail"}, UpstreamError, "the colour is out of stock"),
        ],
    )
    def test_what_swarmui_refuses_is_told_in_its_words(
        self, bench: Bench, fields: dict[str, Any], kind: type[WorkerError], sentence: str
    ) -> None:
        with pytest.raises(kind, match=sentence):
            bench.generate(**fields)

    def test_no_backends(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.failure = "No backends available!"

        with pytest.raises(UpstreamError, match="No backends available") as failed:
            bench.generate()

        assert "no running backend" in failed.value.hint

    def test_no_pictures_at_all(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.discards = (0,)

        with pytest.raises(UpstreamError, match="without images"):
            bench.generate()

    def test_a_websocket_that_breaks_costs_only_what_is_missing(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        server.work.step_s = 0.02
        server.work.drop_after_images = 2

        made = bench.generate(num_images=4)

        assert seeds(made) == [7, 8, 9, 10]
        assert [fields["seed"] for fields in server.fields_of("GenerateText2Image")] == [9, 10]
        # What was left of the first request was ended before the others were asked for.
        assert server.work.interrupts == 1
        assert any("websocket" in line and "broke" in line for line in bench.run.lines)

    def test_a_server_that_dies_and_comes_back_is_waited_for(self, tmp_path: Path) -> None:
        server = SwarmStandIn()
        server.work.step_s = 0.05
        results: list[GenerationResult] = []
        with server.running():
            bench = Bench(server.url, tmp_path)
            thread = threading.Thread(target=lambda: results.append(bench.generate(num_images=2)))
            thread.start()
            wait_for(lambda: bool(server.work.drawn))
        server.work.step_s = 0.0
        with server.running():
            thread.join()

        assert seeds(results[0]) == [7, 8]

    def test_a_server_that_dies_for_good_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(generating_module, "RESTART_S", 0.2)
        server = SwarmStandIn()
        server.work.step_s = 0.05
        errors: list[BaseException] = []

        def generate(bench: Bench) -> None:
            try:
                bench.generate(steps=1000)
            except WorkerError as error:
                errors.append(error)

        with server.running():
            thread = threading.Thread(target=generate, args=(Bench(server.url, tmp_path),))
            thread.start()
            wait_for(lambda: server.work.live == 1)
        thread.join()

        assert isinstance(errors[0], WorkerTimeout)
        assert "does not answer" in str(errors[0])

    def test_a_session_that_expires_while_it_generates_does_no_harm(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        server.work.step_s = 0.05
        threading.Timer(0.1, server.forget_sessions).start()

        assert seeds(bench.generate(num_images=2)) == [7, 8]
        assert seeds(bench.generate()) == [7]

    def test_one_that_expired_since_the_last_time_is_renewed(
        self, bench: Bench, server: SwarmStandIn
    ) -> None:
        bench.generate()
        server.forget_sessions()

        assert seeds(bench.generate()) == [7]
        assert server.sessions_given == 2

    def test_a_server_that_accepts_and_says_nothing_is_given_up(self, tmp_path: Path) -> None:
        with silent_port() as port:
            bench = Bench(f"http://127.0.0.1:{port}", tmp_path, startup_timeout_s=0.2)
            with pytest.raises(WorkerTimeout, match="not ready within 0 s: it does not answer"):
                bench.generate()

    def test_a_server_that_freezes_under_way_is_noticed_and_waited_for(
        self, bench: Bench, server: SwarmStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "HEARTBEAT_S", 0.2)
        monkeypatch.setattr(generating_module, "INTERRUPT_S", 0.2)
        server.work.freeze_s = 1.5
        server.work.step_s = 0.01

        assert seeds(bench.generate(num_images=2)) == [7, 8]

        # What it did when it froze was ended, and did not stand before the second request.
        assert server.work.interrupts
        assert len(server.fields_of("GenerateText2Image")) == 2

    def test_it_ends_at_its_time_limit(self, server: SwarmStandIn, tmp_path: Path) -> None:
        server.work.step_s = 0.05
        bench = Bench(server.url, tmp_path, generation_timeout_s=0.3)

        with pytest.raises(WorkerTimeout, match="The generation took longer than 0 s"):
            bench.generate(steps=1000)

        assert server.work.interrupts == 1
        until_idle(server)

    def test_an_interruption_from_elsewhere_is_told(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.failure = "Generation session interrupted."

        with pytest.raises(UpstreamError, match="ended the generation"):
            bench.generate()


class TestStops:
    def test_swarmui_is_told_and_only_this_generation_ends(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.step_s = 0.05
        threading.Timer(0.3, bench.run.stop.set).start()
        began_s = time.monotonic()

        with pytest.raises(GenerationStopped):
            bench.generate(steps=1000)

        assert time.monotonic() - began_s < 5
        (told,) = server.fields_of("InterruptAll")
        (asked,) = server.fields_of("GenerateText2ImageWS")
        assert told["other_sessions"] is False
        assert told["session_id"] == asked["session_id"]
        until_idle(server)

    def test_one_that_waits_for_the_start_ends_at_once(self, tmp_path: Path) -> None:
        bench = Bench(f"http://127.0.0.1:{free_port()}", tmp_path)
        threading.Timer(0.2, bench.run.stop.set).start()
        began_s = time.monotonic()

        with pytest.raises(GenerationStopped):
            bench.generate()

        assert time.monotonic() - began_s < 5


class TestViews:
    @pytest.mark.parametrize("fault", ["missing", "redirect"])
    def test_a_file_that_is_gone(self, bench: Bench, server: SwarmStandIn, fault: str) -> None:
        server.work.view_faults = [fault]

        with pytest.raises(NotFound, match="though it named it"):
            bench.generate()
        assert bench.files() == []

    @pytest.mark.parametrize("fault", ["bad_path", "unauthorized"])
    def test_a_file_that_may_not_be_read(self, bench: Bench, server: SwarmStandIn, fault: str) -> None:
        server.work.view_faults = [fault]

        with pytest.raises(UpstreamError, match="does not let the worker read"):
            bench.generate()

    def test_a_file_that_it_cannot_read(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.view_faults = ["file_error"]

        with pytest.raises(UpstreamError, match="Error reading file"):
            bench.generate()

    def test_a_transfer_that_breaks_is_repeated(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.view_faults = ["cut", "cut"]
        server.work.content = b"x" * 1_000_000

        made = bench.generate()

        assert made.files[0].path.stat().st_size == 1_000_000
        assert bench.files() == ["image_000.png"]

    def test_an_empty_file_is_no_picture(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.view_faults = ["empty"]

        with pytest.raises(UpstreamError, match="without content"):
            bench.generate()
        assert bench.files() == []

    def test_a_full_disk_is_told(self, server: SwarmStandIn, tmp_path: Path) -> None:
        bench = Bench(server.url, tmp_path, keep_free_bytes=1 << 60)

        with pytest.raises(InsufficientStorage):
            bench.generate()
        assert bench.files() == []


class TestLoras:
    @pytest.fixture
    def lora(self, tmp_path: Path) -> LoraUse:
        path = tmp_path / "trained" / "cat.safetensors"
        path.parent.mkdir()
        path.write_bytes(b"weights")
        return LoraUse(path=path, name="cat", weight=0.5)

    def test_one_just_trained_is_handed_over(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse
    ) -> None:
        server.models.root = tmp_path / "Models"
        bench = Bench(server.url, tmp_path, roots=ModelRoots(named=tmp_path / "Models"))

        first = bench.generate(loras=[lora])
        second = bench.generate(loras=[lora])

        assert first.warnings == []
        asked = server.fields_of("GenerateText2ImageWS")[0]
        (name,) = asked["loras"]
        assert (tmp_path / "Models" / "Lora" / name).read_bytes() == b"weights"
        assert asked["loraweights"] == ["0.5"]
        # The second time it was there.
        assert len(server.fields_of("TriggerRefresh")) == 1
        assert first.files[0].path.read_bytes() == second.files[0].path.read_bytes()

    def test_another_weight_is_another_picture(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse
    ) -> None:
        server.models.root = tmp_path / "Models"
        bench = Bench(server.url, tmp_path, roots=ModelRoots(named=tmp_path / "Models"))
        pictures = {
            bench.generate(loras=[LoraUse(path=lora.path, name="cat", weight=weight)])
            .files[0]
            .path.read_bytes()
            for weight in (0.25, 0.5, 1.0)
        }

        assert len(pictures) == 3

    def test_a_refresh_that_swarmui_ignores_is_asked_for_again(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse
    ) -> None:
        server.models.root = tmp_path / "Models"
        server.models.quiet_s = 1.5
        server.models.refresh()
        bench = Bench(server.url, tmp_path, roots=ModelRoots(named=tmp_path / "Models"))

        assert bench.generate(loras=[lora]).files
        assert len(server.fields_of("TriggerRefresh")) > 1

    def test_its_folder_is_where_swarmui_says(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse
    ) -> None:
        root = tmp_path / "volume" / "Models"
        root.mkdir(parents=True)
        server.models.root = root
        server.model_root = f"/nowhere/at/all;{root}"

        assert Bench(server.url, tmp_path).generate(loras=[lora]).files

    def test_a_folder_relative_to_swarmuis_own_is_found(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse
    ) -> None:
        root = tmp_path / "SwarmUI" / "Models"
        root.mkdir(parents=True)
        server.models.root = root
        bench = Bench(server.url, tmp_path, roots=ModelRoots(installations=[tmp_path / "SwarmUI"]))

        assert bench.generate(loras=[lora]).files

    def test_a_folder_that_is_not_here_is_told(self, bench: Bench, lora: LoraUse) -> None:
        with pytest.raises(Unsupported, match="model folder is not on this machine") as refused:
            bench.generate(loras=[lora])

        assert "SWARMUI_MODELS_PATH" in refused.value.hint

    def test_a_folder_that_is_not_swarmuis_is_told(
        self, server: SwarmStandIn, tmp_path: Path, lora: LoraUse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lorapod.engines.swarmui.loras.SEEN_S", 0.1)
        server.models.root = tmp_path / "other"
        bench = Bench(server.url, tmp_path, roots=ModelRoots(named=tmp_path / "Models"))

        with pytest.raises(UpstreamError, match="does not find the LoRA"):
            bench.generate(loras=[lora])


class TestState:
    def test_a_running_server_is_available(self, bench: Bench, server: SwarmStandIn) -> None:
        status = bench.engine.probe()

        assert status.available
        assert status.version == server.version
        assert status.detail == f"SwarmUI at {server.url}: its backends run"
        assert not status.resident

    def test_a_server_without_backends_is_not(self, bench: Bench, server: SwarmStandIn) -> None:
        server.backend_status = "empty"

        status = bench.engine.probe()

        assert not status.available
        assert "no backend is configured" in status.detail

    def test_it_is_asked_once_in_a_while(self, server: SwarmStandIn) -> None:
        clock = FakeClock()
        engine = SwarmUIEngine(SwarmOptions(address=server.url), clock=clock)

        for _ in range(5):
            engine.probe()
        assert len(server.fields_of("GetCurrentStatus")) == 1
        clock.advance(adapter_module.PROBED_S)
        engine.probe()

        assert len(server.fields_of("GetCurrentStatus")) == 2
        assert server.sessions_given == 1

    def test_a_server_that_hangs_holds_nobody_up(self, server: SwarmStandIn) -> None:
        with silent_port() as port:
            engine = SwarmUIEngine(SwarmOptions(address=f"http://127.0.0.1:{port}"), clock=SystemClock())
            began_s = time.monotonic()
            engine.probe()
            # Somebody who is more patient holds the session.
            pinging = threading.Thread(target=ping, args=(engine,))
            pinging.start()
            wait_for(engine._session._lock.locked)
            asked_s = time.monotonic()
            SwarmUIEngine(
                SwarmOptions(address=f"http://127.0.0.1:{port}"), clock=SystemClock(), session=engine._session
            ).probe()
            took_s = time.monotonic() - asked_s
        pinging.join()

        assert began_s + 5 > asked_s
        assert took_s < 5

    def test_one_that_was_named_may_still_start(self) -> None:
        clock = FakeClock()
        options = SwarmOptions(address=f"http://127.0.0.1:{free_port()}", startup_timeout_s=60)
        engine = SwarmUIEngine(options, clock=clock)

        starting = engine.probe()
        clock.advance(61)
        gone = engine.probe()

        assert starting.available
        assert "It may be starting: a generation waits 60 s more for it." in starting.detail
        assert not gone.available
        assert "nothing answers there" in gone.detail

    def test_one_that_nobody_named_is_there_or_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(options_module, "USUAL_ADDRESS", f"http://127.0.0.1:{free_port()}")

        assert not SwarmUIEngine(SwarmOptions(), clock=SystemClock()).probe().available

    def test_one_that_answered_once_is_not_starting(self, tmp_path: Path) -> None:
        server, clock = SwarmStandIn(), FakeClock()
        with server.running():
            engine = SwarmUIEngine(SwarmOptions(address=server.url), clock=clock)
            assert engine.probe().available
        clock.advance(60)

        assert not engine.probe().available

    def test_it_is_resident_until_it_gives_the_gpu_up(self, bench: Bench, server: SwarmStandIn) -> None:
        bench.generate()
        loaded = bench.engine.probe()
        bench.engine.release()

        assert (loaded.resident, loaded.model) == (True, "tiny")
        assert (bench.engine.probe().resident, bench.engine.probe().model) == (False, None)
        assert server.freed == 1
        assert server.fields_of("FreeBackendMemory")[0]["system_ram"] is False

    def test_one_that_does_not_give_it_up_is_still_resident(self, bench: Bench, server: SwarmStandIn) -> None:
        bench.generate()
        server.faults["FreeBackendMemory"] = [Fault(body=b'{"error": "You lack permissions."}')]

        bench.engine.release()

        assert bench.engine.probe().resident

    def test_a_server_that_is_away_has_nothing_to_give_up(self, tmp_path: Path) -> None:
        server = SwarmStandIn()
        with server.running():
            bench = Bench(server.url, tmp_path)
            bench.generate()
        bench.engine.release()
        bench.engine.close()

        assert not bench.engine.probe().resident

    def test_while_it_generates_it_is_not_asked(self, bench: Bench, server: SwarmStandIn) -> None:
        server.work.step_s = 0.05
        thread = threading.Thread(target=lambda: bench.generate(steps=20))
        thread.start()
        wait_for(lambda: server.work.live == 1)
        server.faults["GetCurrentStatus"] = [Fault(drop=True)]
        status = bench.engine.probe()
        thread.join()

        assert status.available
        assert "generates" in status.detail


def ping(engine: SwarmUIEngine) -> None:
    with contextlib.suppress(WorkerError):
        engine.keep_warm()


class silent_port:  # noqa: N801 - used as the function that it stands for
    """A port that accepts connections and says nothing."""

    def __enter__(self) -> int:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        port: int = self._socket.getsockname()[1]
        return port

    def __exit__(self, *_error: object) -> None:
        self._socket.close()


def wait_for(holds: Any, *, within_s: float = 20.0) -> None:
    until_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.01)


def until_idle(server: SwarmStandIn) -> None:
    wait_for(lambda: server.work.live == 0)
