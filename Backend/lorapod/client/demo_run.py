"""One run of the demo: its parts, how long each takes, and where its results are."""

from __future__ import annotations

import shutil
import sys
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich import filesize
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import lorapod
from lorapod.client import report
from lorapod.client.client import Client
from lorapod.client.console.server import ConsoleServer
from lorapod.client.demo_comparison import compare_checkpoints
from lorapod.client.demo_console import demo_console, stays_open
from lorapod.client.demo_end import end_with_console, print_results
from lorapod.client.demo_recipe import DemoRecipe
from lorapod.client.demo_terminal import CONSOLE, print_line
from lorapod.client.errors import LorapodError, ProcessEnded
from lorapod.client.serving import serving
from lorapod.client.training import Training
from lorapod.endpoint import EndpointConfig

#: A worker that stops gives its trainings 20 s for a last checkpoint.
_STOP_GRACE_S = 30.0

#: The worker's entry; it is part of the project's tree alone.
HANDLER = Path(lorapod.__file__).parent.parent / "rp_handler.py"

_LOG_LINES = 25

_SEED = 7


@dataclass(kw_only=True)
class Demo:
    """One run of the demo, and how long each part took."""

    recipe: DemoRecipe
    out: Path
    timings: dict[str, float] = field(default_factory=dict)
    results: dict[str, Path] = field(default_factory=dict)
    #: Open the console in a browser, and keep it open until Ctrl-C; None: keep it open at a terminal alone.
    with_console: bool | None = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure one part of the run."""
        began = time.monotonic()
        CONSOLE.print(f"[bold]{name}[/bold]")
        yield
        self.timings[name] = time.monotonic() - began

    def run(self) -> None:
        """Run all parts, from the base model to the charts."""
        with self.part("Base model and images"):
            self.recipe.prepare()
        config = EndpointConfig(
            command=[sys.executable, str(HANDLER)],
            environment={"WORKSPACE_PATH": str(self.out / "workspace")} | dict(self.recipe.environment),
            log_folder=self.out / "logs",
            stop_grace_s=_STOP_GRACE_S,
        )
        stays = stays_open(wanted=self.with_console)
        with (
            serving(config) as endpoint,
            Client(endpoint.url) as client,
            self._console(endpoint.url, stays=stays) as console,
        ):
            with self.part("Endpoint and worker"):
                worker = client.call("health")
                print_line(f"{endpoint.url}, worker {worker['worker_id']}: {worker['status']}")
            with self.part("Upload"):
                self._upload(client)
            with self.part("Training"):
                training = client.train(
                    config=self.recipe.config(),
                    dataset={"training_name": self.recipe.name},
                    trainer=self.recipe.trainer,
                )
                process = self._follow(training)
            with self.part("Download"):
                self.results["LoRA"] = training.download(self.out)
                losses = training.metrics().get("loss/loss", [])
                samples = self._fetch_samples(client, process)
            with self.part("Image with the LoRA"):
                self._generate(client, training)
            with self.part("Checkpoints side by side"):
                self.results |= compare_checkpoints(client, process, self.recipe, self.out)
            with self.part("Report"):
                self._draw(process, losses, samples)
            print_results(self.results, self.timings, self.out)
            end_with_console(console, self.out / "workspace", stays=stays)

    @contextmanager
    def _console(self, url: str, *, stays: bool) -> Iterator[ConsoleServer]:
        """Serve the console beside the demo, from its first step."""

        def show_next_link() -> None:
            print_line(f"The link was used. For another browser: {server.link}")

        with demo_console(url, self.out, on_new_link=show_next_link if stays else None) as server:
            print_line(f"The console, in a browser: {server.link}")
            if self.with_console:
                webbrowser.open(server.link)
            yield server

    def _upload(self, client: Client) -> None:
        dataset = client.upload_dataset(self.recipe.pictures, self.recipe.name)
        for refused in dataset.rejected:
            CONSOLE.print(f"  refused: {refused.filename}: {refused.error}", style="yellow")
        size = filesize.decimal(dataset.total_bytes)
        print_line(f"{dataset.images} images, {dataset.captions} captions, {size}")

    def _follow(self, training: Training) -> dict[str, Any]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("eta {task.fields[eta]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=CONSOLE) as bar:
            task = bar.add_task("queued", total=self.recipe.steps, loss="-", eta="-")

            def show(process: Mapping[str, Any]) -> None:
                progress = process["progress"]
                bar.update(
                    task,
                    description=process.get("phase") or process["status"],
                    completed=progress["step"],
                    total=progress.get("total_steps") or self.recipe.steps,
                    loss=_figure(progress.get("loss"), ".4f"),
                    eta=_figure(progress.get("eta_s"), ".0f", " s"),
                )

            try:
                return training.wait(on_progress=lambda now: show(now.answer), interval_s=0.5).answer()
            except ProcessEnded:
                bar.stop()
                CONSOLE.print("\n".join(training.logs().splitlines()[-_LOG_LINES:]), markup=False)
                raise

    def _fetch_samples(self, client: Client, process: dict[str, Any]) -> list[tuple[Path, int, int]]:
        folder = self.out / "samples"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return [
            (client.download(sample["path"], folder), sample["step"], sample["index"])
            for sample in process.get("samples", ())
        ]

    def _generate(self, client: Client, training: Training) -> None:
        """Generate an image with the new LoRA, on the worker that trained it."""
        recipe, folder = self.recipe, self.out / "generated"
        shutil.rmtree(folder, ignore_errors=True)
        prompt = next(iter(recipe.examples()))
        try:
            made = client.generate(
                prompt,
                to=folder,
                engine="diffusers",
                model=recipe.model,
                loras=[{"process_id": training.process_id}],
                width=recipe.resolution,
                height=recipe.resolution,
                steps=recipe.sample_steps,
                guidance_scale=recipe.guidance_scale,
                seed=_SEED,
            )
        except LorapodError as error:
            # The embedded engine does not know every model that can be trained; the LoRA exists anyway.
            CONSOLE.print(f"  No image could be generated: {error}", style="yellow", markup=False)
            return
        print_line(f"{prompt!r}, seed {made.seed}")
        self.results["Image with the LoRA"] = made.files[0]

    def _draw(
        self, process: dict[str, Any], losses: list[tuple[int, float]], fetched: list[tuple[Path, int, int]]
    ) -> None:
        recipe = self.recipe
        subtitle = f"{recipe.steps} steps with {process['trainer']}; {recipe.summary}"
        if losses:
            self.results["Loss curve"] = report.loss_curve(
                losses, self.out / "loss.png", title=f"{recipe.name}: loss", subtitle=subtitle
            )
        samples = [report.SampleFile(path=path, step=step, index=index) for path, step, index in fetched]
        if not samples:
            return
        examples = recipe.examples()
        sheet = partial(report.sample_sheet, prompts=list(examples), dataset=list(examples.values()))
        title = f"{recipe.name}: samples while it learns"
        self.results["Sample sheet"] = sheet(
            samples, self.out / "samples.png", title=title, subtitle=subtitle
        )
        steps = [sample.step for sample in samples]
        ends = [sample for sample in samples if sample.step in {min(steps), max(steps)}]
        title = f"{recipe.name}: before and after"
        self.results["Before and after"] = sheet(
            ends, self.out / "before-after.png", title=title, subtitle="the same prompts and seeds"
        )


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
