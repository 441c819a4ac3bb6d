"""`make demo`: train one LoRA on this machine, through a real worker behind a local endpoint."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import lorapod
from lorapod.client import report
from lorapod.client.client import Client
from lorapod.client.console.server import ConsoleServer
from lorapod.client.demo_console import demo_console, wait_for_interrupt
from lorapod.client.demo_options import (
    ArchOption,
    ConsoleOption,
    DatasetOption,
    ModelOption,
    OutOption,
    ResolutionOption,
    StepsOption,
    TrainerOption,
)
from lorapod.client.demo_recipe import DemoRecipe, real_recipe, tiny_recipe
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

console = Console()


@dataclass(kw_only=True)
class Demo:
    """One run of the demo, and how long each part took."""

    recipe: DemoRecipe
    out: Path
    timings: dict[str, float] = field(default_factory=dict)
    results: dict[str, Path] = field(default_factory=dict)
    #: Serve the console meanwhile, and until Ctrl-C.
    with_console: bool = False
    server: ConsoleServer | None = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure one part of the run."""
        began = time.monotonic()
        console.print(f"[bold]{name}[/bold]")
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
        with serving(config) as endpoint, Client(endpoint.url) as client, self._console(endpoint.url):
            with self.part("Endpoint and worker"):
                worker = client.call("health")
                console.print(f"  {endpoint.url}, worker {worker['worker_id']}: {worker['status']}")
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
                self._compare(client, training)
            with self.part("Report"):
                self._draw(process, losses, samples)
            if self.with_console:
                self.print_results()
                wait_for_interrupt()

    @contextmanager
    def _console(self, url: str) -> Iterator[None]:
        """Serve the console beside the demo, if it is wanted."""
        if not self.with_console:
            yield
            return
        (self.out / "workspace").mkdir(parents=True, exist_ok=True)
        with demo_console(url, self.out) as server:
            console.print(f"  The console, in a browser: {server.link}", soft_wrap=True)
            self.server = server
            yield

    def _upload(self, client: Client) -> None:
        dataset = client.upload_dataset(self.recipe.pictures, self.recipe.name)
        for refused in dataset.rejected:
            console.print(f"  refused: {refused['filename']}: {refused['error']}", style="yellow")
        size = filesize.decimal(dataset.total_bytes)
        console.print(f"  {dataset.images} images, {dataset.captions} captions, {size}")

    def _follow(self, training: Training) -> dict[str, Any]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("eta {task.fields[eta]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("queued", total=self.recipe.steps, loss="-", eta="-")

            def show(process: dict[str, Any]) -> None:
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
                return training.wait(on_progress=show, interval_s=0.5)
            except ProcessEnded:
                bar.stop()
                console.print("\n".join(training.logs().splitlines()[-_LOG_LINES:]), markup=False)
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
            console.print(f"  No image could be generated: {error}", style="yellow", markup=False)
            return
        console.print(f"  {prompt!r}, seed {made.seed}", markup=False)
        self.results["Image with the LoRA"] = made.files[0]

    def _compare(self, client: Client, training: Training) -> None:
        """Draw the prompts with each checkpoint, on the model that is still loaded."""
        try:
            answer = client.call("compare", process_ids=[training.process_id], wait=True)
        except LorapodError as error:
            console.print(f"  The checkpoints could not be compared: {error}", style="yellow", markup=False)
            return
        self.results["Checkpoints side by side"] = client.download(
            answer["grid_path"], self.out / "compare.png"
        )
        if recommended := answer.get("recommended"):
            console.print(f"  recommended: step {recommended['step']}")

    def _draw(
        self, process: dict[str, Any], losses: list[tuple[int, float]], fetched: list[tuple[Path, int, int]]
    ) -> None:
        recipe = self.recipe
        subtitle = f"{recipe.steps} steps with {process['trainer']}; {recipe.summary}"
        if losses:
            self.results["Loss curve"] = report.loss_curve(
                losses, self.out / "loss.png", title=f"{recipe.name}: loss", subtitle=subtitle
            )
        samples = [report.SampleImage(path=path, step=step, index=index) for path, step, index in fetched]
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

    def print_results(self) -> None:
        """Print where the results are and how long each part took."""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for name, path in self.results.items():
            table.add_row(name, str(path))
        table.add_row("Samples", str(self.out / "samples"))
        table.add_row("Workspace", str(self.out / "workspace"))
        table.add_row("Worker's log", str(self.out / "logs"))
        console.print("\n[bold]Results[/bold]", table)
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for name, duration_s in self.timings.items():
            table.add_row(name, f"{duration_s:6.1f} s")
        table.add_row("Total", f"{sum(self.timings.values()):6.1f} s", style="bold")
        console.print("[bold]How long it took[/bold]", table)
        console.print("\n[bold]In a browser[/bold]")
        if self.server is not None:
            console.print(f"  {self.server.link}  (Ctrl-C ends the console and the worker)", soft_wrap=True)
        else:
            console.print(f"  lorapod console --open --workspace {self.out / 'workspace'}", soft_wrap=True)


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def demo(
    *,
    model: ModelOption = None,
    arch: ArchOption = "sd1",
    dataset: DatasetOption = None,
    trainer: TrainerOption = "builtin",
    steps: StepsOption = None,
    resolution: ResolutionOption = None,
    out: OutOption = Path("demo"),
    with_console: ConsoleOption = False,
) -> None:
    """Train a LoRA on this machine and leave its file, loss curve and samples."""
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not HANDLER.is_file():
        console.print(
            "The demo trains with the worker, which is not installed here. "
            "Clone the project and run `make demo` in its folder.",
            style="red",
        )
        raise typer.Exit(1)
    out = out.resolve()
    make = tiny_recipe if model is None else real_recipe
    recipe = make(
        out, model=model, arch=arch, dataset=dataset, trainer=trainer, steps=steps, resolution=resolution
    )
    _run(Demo(recipe=recipe, out=out, with_console=with_console))


def _run(run: Demo) -> None:
    """Run the demo and print its results, or the error that ended it.

    Raises:
        typer.Exit: the demo failed or was interrupted.
    """
    try:
        run.run()
    except LorapodError as error:
        console.print(str(error), style="red", markup=False)
        console.print(f"The worker's log: {run.out / 'logs'}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("\nInterrupted; the endpoint and its worker have ended.")
        raise typer.Exit(130) from None
    if not run.with_console:
        run.print_results()


if __name__ == "__main__":
    typer.run(demo)
