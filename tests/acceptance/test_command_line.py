"""The command line as a person and a script use it: real processes, the real worker loop, a real small training."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.error_log import error_log
from tests.servers.platform import KEY, PlatformStandIn, standing_in
from tests.tiny_captioners import tiny_captioner
from tests.tiny_models import place_tiny
from typer.testing import CliRunner

import lorapod
from lorapod import weights
from lorapod.client.cli import app
from lorapod.client.drawing.creature import draw_creatures
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.timeout(300)]

COMMAND = Path(sys.executable).with_name("lorapod")
NAME = "creatures"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An endpoint with a worker that has a tiny base model."""
    root = tmp_path_factory.mktemp("workspace")
    place_tiny(root / "models" / "tiny")
    shutil.copytree(tiny_captioner("blip"), root / "models" / "blip")
    config = EndpointConfig(
        command=[sys.executable, str(Path(lorapod.__file__).parent.parent / "rp_handler.py")],
        environment={
            "WORKSPACE_PATH": str(root),
            "OMP_NUM_THREADS": "1",
            "PROGRESS_INTERVAL_S": "0.5",
            "HF_HUB_OFFLINE": "1",
            "CAPTION_MODEL": "models/blip",
        },
        log_folder=error_log.watch(tmp_path_factory.mktemp("logs")),
        stop_grace_s=30.0,
    )
    with serving(config) as endpoint:
        yield endpoint.url


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that commands are called in, with pictures to train on."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "pictures").mkdir()
    draw_creatures(folder / "pictures")
    return folder


@pytest.fixture
def call(url: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `lorapod` with these arguments, in this process to save its start; its stdout. It must end with `code`."""
    monkeypatch.chdir(here)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(
            app, arguments, env={"LORAPOD_URL": url, "COLUMNS": "200", "HOME": str(here)}
        )
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return str(done.stdout if code == 0 else done.output)

    return run


def lorapod_command(*arguments: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LORAPOD_URL": url, "COLUMNS": "200"}
    return subprocess.run(
        [str(COMMAND), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def process_id(url: str, here: Path) -> str:
    """A training that the command line started and followed to its end."""
    uploaded = lorapod_command("upload", "pictures", NAME, url=url, folder=here)
    assert uploaded.returncode == 0, uploaded.stderr
    trained = lorapod_command(
        *("train", "--preset", "sd15", "--model", "models/tiny", "--dataset", NAME, "--trainer", "builtin"),
        *("--steps", "4", "--resolution", "64", "--name", NAME, "--sample-prompt", "a mimo", "--follow"),
        url=url,
        folder=here,
    )
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "running training step 4/4" in trained.stdout or "completed step 4/4" in trained.stdout
    (found,) = set(re.findall(r"train_[0-9a-f]{12}", trained.stdout))
    return str(found)


class TestRun:
    """From a folder to a LoRA in one command, killed in every stage that takes its time."""

    CONFIG = """
        job: extension
        config:
          process:
            - type: diffusion_trainer
              device: cpu
              network: {type: lora, linear: 4, linear_alpha: 4}
              save: {save_every: 3}
              datasets: [{resolution: [64]}]
              train: {batch_size: 1, steps: 6, lr: 1.0e-4, dtype: fp32, noise_scheduler: ddpm, optimizer: adamw}
              model: {name_or_path: models/tiny, arch: sd1}
              sample: {sample_every: 100, width: 64, height: 64, prompts: [a mimo], sample_steps: 2, sampler: ddpm}
    """

    @pytest.fixture
    def arguments(self, here: Path) -> list[str]:
        shutil.copytree(here / "pictures", here / "my pictures")
        (here / "my pictures" / "mimo-00.txt").unlink()
        (here / "run.yaml").write_text(textwrap.dedent(self.CONFIG))
        return ["run", "my pictures", "--config", "run.yaml", "--trainer", "builtin"]

    def kill_at(self, sight: str, arguments: list[str], url: str, here: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(here), "LORAPOD_URL": url}
        command = [str(COMMAND), *arguments]
        with subprocess.Popen(
            command, env=environment, cwd=here, stderr=subprocess.PIPE, text=True
        ) as running:
            assert running.stderr is not None
            said = []
            for line in running.stderr:
                said.append(line)
                if sight in line:
                    break
            running.kill()
        assert sight in said[-1], said

    def test_each_stage_is_done_once(self, arguments: list[str], url: str, here: Path, call: Any) -> None:
        before = len(json.loads(call("processes", "--json"))["processes"])
        for sight in ("caption_", "train_", "compare_"):
            self.kill_at(sight, arguments, url, here)
        answer = json.loads(call(*arguments, "--json"))
        again = call(*arguments)

        begun = json.loads(call("processes", "--json"))["processes"]
        begun = begun[: len(begun) - before]
        assert sorted((one["type"], one["status"]) for one in begun) == [
            ("caption", "completed"),
            ("compare", "completed"),
            ("train", "completed"),
        ]
        dataset = json.loads(call("dataset", answer["dataset"], "--json"))
        assert (answer["dataset"], dataset["captions"]) == ("my pictures", dataset["images"])
        assert again.strip() == answer["lora"] == str(here / "my pictures-lora" / "my pictures.safetensors")
        assert weights.read_header(Path(answer["lora"])).is_lora
        assert "data:image/webp" in Path(answer["report"]).read_text("utf-8")
        # There is no embedding model here.
        assert (answer["step"], answer["recommended"], answer["why"]) == (6, False, "the last")


def test_a_worker_tells_that_it_is_there(call: Any) -> None:
    assert "answered after" in call("ping")
    assert json.loads(call("ping", "--json"))["pong"] is True


def test_what_it_takes_is_listed(call: Any) -> None:
    assert "upload_training_data" in call("schema")
    assert json.loads(call("schema", "cancel"))["request"]["properties"]["process_id"]
    assert "flux-dev" in call("presets")


def test_health_ends_with_one_where_the_worker_is_not_well(call: Any) -> None:
    """This machine has no GPU, and says so."""
    told = call("health", code=1)

    assert "gpu" in told
    assert "trainers: builtin" in told


def test_an_upload_tells_what_is_there(call: Any) -> None:
    answer = json.loads(call("upload", "pictures", "others", "--json"))

    assert answer["images"] > 0
    assert answer["captions"] == answer["images"]


def test_a_training_is_shown_in_all_its_parts(call: Any, process_id: str) -> None:
    status = json.loads(call("status", process_id, "--json"))
    assert (status["status"], status["progress"]["step"]) == ("completed", 4)
    assert f"output/{process_id}" in call("status", process_id)
    assert process_id in call("processes")
    assert process_id not in call("processes", "--status", "failed")
    assert "saved" in call("logs", process_id).lower()
    assert len(call("logs", process_id, "--tail", "1").splitlines()) == 1
    assert call("logs", process_id, "--follow") == call("logs", process_id)


def test_files_are_listed_and_fetched(call: Any, process_id: str, here: Path) -> None:
    listed = json.loads(call("files", f"output/{process_id}", "--kind", "model", "--json"))["files"]
    assert [one["name"] for one in listed if one["name"] == f"{NAME}.safetensors"]

    fetched = call("download", process_id, "--to", "lora.safetensors").strip()

    assert weights.read_header(here / fetched).is_lora
    archive = call("download", process_id, "--zip", "--to", "all.zip").strip()
    assert (here / archive).stat().st_size > (here / fetched).stat().st_size


def test_a_report_holds_everything_in_one_file(call: Any, process_id: str, here: Path) -> None:
    assert call("report", process_id).strip() == f"{process_id}.html"

    page = (here / f"{process_id}.html").read_text("utf-8")
    assert page.count("data:image/webp;base64,") >= 2
    assert "models/tiny" in page
    assert "prompt 1" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    call("report", process_id, process_id, "--to", "report")
    assert (here / "report" / "report.html").stat().st_size < 5_000_000


def test_a_report_shows_a_sweep_and_the_comparison_of_its_trainings(
    call: Any, process_id: str, here: Path
) -> None:
    del process_id  # its dataset is there
    begun = json.loads(
        call(
            *(
                "train",
                "--preset",
                "sd15",
                "--model",
                "models/tiny",
                "--dataset",
                NAME,
                "--trainer",
                "builtin",
            ),
            *("--steps", "3", "--resolution", "64", "--sample-prompt", "a mimo", "--name", "varied"),
            *("--vary", "rank=2,4", "--json"),
        )
    )
    sweep_id = begun["sweep_id"]
    call("status", sweep_id, "--follow")
    compared = json.loads(
        call(
            *("compare", sweep_id, "--prompt", "a mimo", "--prompt", "a box", "--seeds", "1,2", "--json"),
            *("--weights", "0,1", "--sample-steps", "1", "--width", "64", "--height", "64"),
        )
    )
    assert {one["variant_label"] for one in compared["cells"]} == {"rank 2", "rank 4"}

    assert call("report", sweep_id).strip() == f"{sweep_id}.html"

    assert (here / f"{sweep_id}.html").stat().st_size < 5_000_000
    page = (here / f"{sweep_id}.html").read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for label in ("rank 2", "rank 4"):
        assert f"<bdi>{label}</bdi>" in page, "the trainings of the sweep"
        assert f"<bdi>{label}, step 3</bdi>" in page, "the columns of the comparison"
    (table,) = re.findall(r'<table class="at-a-glance".*?</table>', page, re.DOTALL)
    assert table.count("<img") == len(re.findall("<td>", table)) - 1
    assert table.count("seed 2") == 2
    assert "varied-01" not in table


def test_what_runs_is_cancelled_and_taken_up_again(call: Any) -> None:
    begun = call(
        *(
            "train",
            "--preset",
            "sd15",
            "--model",
            "models/tiny",
            "--dataset",
            "others",
            "--trainer",
            "builtin",
        ),
        *("--steps", "100000", "--resolution", "64", "--name", "long"),
    ).strip()
    call("cancel", begun)
    call("status", begun, "--follow", code=3)
    assert json.loads(call("status", begun, "--json"))["status"] == "cancelled"

    assert call("resume", begun).strip() == begun
    call("cancel", begun, "--no-save")
    told = call("status", begun, "--follow", code=3)
    assert "cancelled" in told


class TestRefusals:
    def test_a_request_that_is_wrong_ends_with_two_and_a_sentence(self, call: Any) -> None:
        told = call("train", "--preset", "sd51", "--dataset", "others", code=2)

        assert "did you mean 'sd15'?" in told

    def test_a_dry_run_tells_every_problem(self, call: Any) -> None:
        arguments = ("train", "--preset", "sd15", "--dataset", "others", "--trainer", "builtin", "--dry-run")

        assert "would refuse this training" in call(*arguments, "--model", "/etc/none", code=2)
        assert "The request is valid; builtin would train it" in call(*arguments, "--model", "models/tiny")

    def test_what_is_not_there_ends_with_one(self, call: Any) -> None:
        told = json.loads(call("status", "train_000000000000", "--json", code=1))

        assert told["code"] == "not_found"

    def test_an_endpoint_that_does_not_answer_ends_with_four(self, here: Path) -> None:
        done = lorapod_command("ping", url="http://127.0.0.1:9/v2/local", folder=here)

        assert done.returncode == 4
        assert "127.0.0.1:9" in done.stderr

    def test_without_an_endpoint_it_says_what_to_set(self, here: Path) -> None:
        done = lorapod_command("ping", url="", folder=here)

        assert done.returncode == 2
        assert "RUNPOD_ENDPOINT_ID" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ("train", "--upload-to", "not json", "--preset", "sd15"),
            ("train", "--dataset", "a", "--dataset-repo", "b/c", "--preset", "sd15"),
            ("upload", "no-such-folder", "x"),
            ("models", "edit", "x", "no equals sign"),
        ],
    )
    def test_a_wrong_command_line_ends_with_two(self, call: Any, arguments: tuple[str, ...]) -> None:
        call(*arguments, code=2)


class TestMoney:
    """An endpoint that RunPod's API knows, with the real worker behind its queue."""

    @pytest.fixture
    def account(self) -> Iterator[PlatformStandIn]:
        with standing_in() as account:
            account.add_endpoint(id="local", name="lorapod", gpu={"pools": ["ADA_24", "ADA_48_PRO"]})
            account.billing.add("local", gpu=1.25)
            yield account

    @pytest.fixture
    def paid(self, url: str, here: Path, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Runs `lorapod` with the endpoint named by its id; `alone` in a process of its own."""
        monkeypatch.chdir(here)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(here),
            "COLUMNS": "200",
            "RUNPOD_API_KEY": KEY,
            "RUNPOD_ENDPOINT_ID": "local",
            "RUNPOD_REST_URL": account.url,
            "RUNPOD_ENDPOINT_BASE_URL": url.rpartition("/")[0],
        }

        def run(*arguments: str, alone: bool = False) -> str:
            if not alone:
                inside = CliRunner().invoke(app, arguments, env=environment)
                assert inside.exit_code == 0, (arguments, inside.output)
                assert KEY not in inside.output
                return str(inside.stdout)
            done = subprocess.run(
                [str(COMMAND), *arguments],
                env=environment,
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
            assert KEY not in done.stdout + done.stderr
            return done.stdout + done.stderr

        return run

    def test_a_budget_is_kept_by_the_worker_and_bills_are_shown(
        self, paid: Any, process_id: str, account: PlatformStandIn
    ) -> None:
        train = (
            *(
                "train",
                "--preset",
                "sd15",
                "--model",
                "models/tiny",
                "--dataset",
                NAME,
                "--trainer",
                "builtin",
            ),
            *("--steps", "100000", "--resolution", "64", "--name", "paid"),
        )
        # The worker has no GPU, and the price of another machine's would be a guess.
        assert "No price is known. The worker does not say which GPU it has." in paid(*train, "--dry-run")

        begun = paid(*train, "--max-cost", "0.95", alone=True)
        (started,) = set(re.findall(r"train_[0-9a-f]{12}", begun))
        shown = json.loads(paid("status", started, "--json", "--price-per-hour", "2"))
        paid("cancel", started, "--no-save")

        assert "--max-cost $0.95 pays for 30 min (L40S, $1.90 an hour)" in begun
        assert shown["limits"]["duration_s"] == 1800.0
        assert shown["cost"]["usd_per_hour"] == 2.0
        assert re.search(r"cost <?\$\d", paid("status", process_id, "--price-per-hour", "2"))
        assert json.loads(paid("cost", "--json"))["total_usd"] == 1.25
        assert account.changes == []
