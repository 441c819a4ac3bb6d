"""`train`: start a training, from an AI Toolkit config or from a preset and a few knobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.start_request import StartRequest
from lorapod.actions.starting import TrainingStarts
from lorapod.actions.sweeping import SweepStarts, SweepVariant, validated
from lorapod.errors import GpuUnavailable, InvalidInput, WorkerError
from lorapod.settings import Settings
from lorapod.telemetry import Telemetry
from lorapod.thread_pools import STARTS
from lorapod.trainers.fit import WayOut, savings_of
from lorapod.trainers.kept_checkpoints import keep_enough
from lorapod.trainers.model_names import name_after
from lorapod.trainers.presets import build_config, knob_of
from lorapod.trainers.presets import get as get_preset
from lorapod.wire.knobs import TrainKnobs, ValidationKnob
from lorapod.wire.model import Result
from lorapod.wire.started import DryRun, Finished, Started, SweepStarted
from lorapod.wire.stop_when import StopMeasure
from lorapod.yaml_config.text import parse_config


class TrainRequest(StartRequest, TrainKnobs):
    """What to train, on what, and how."""

    config: str | dict[str, Any] | None = Field(
        default=None, description="AI Toolkit config, as YAML text or as an object; or give a `preset`."
    )
    preset: str | None = Field(
        default=None, description="Config to start from, e.g. `sdxl`; the other fields change it."
    )

    variants: Annotated[list[TrainKnobs], Field(min_length=1, max_length=50)] | None = Field(
        default=None,
        description="A sweep: one training for each entry, which has the fields that are special to it, e.g. "
        '`[{"rank": 8}, {"rank": 16}]`; with a preset.',
        examples=[[{"rank": 8}, {"rank": 16}]],
    )

    def of_variant(self, number: int) -> TrainRequest:
        """Return the request for one training of the sweep.

        Raises:
            ValidationError: the variant contradicts the request.
        """
        assert self.variants is not None, "it is asked for a variant only if there are some"
        own = self.variants[number].model_dump(exclude_unset=True)
        common = {name: value for name, value in dict(self).items() if name in self.model_fields_set}
        # Their artifacts may go to one folder of a store.
        name = None if self.model_name is None else f"{self.model_name[:90]}-{number + 1:02d}"
        return TrainRequest.model_validate(
            {**common, **own, "variants": None, "name": name, "idempotency_key": None}
        )

    def knobs(self) -> TrainKnobs:
        """Return the knobs that are set."""
        return TrainKnobs.model_validate(
            {name: value for name in TrainKnobs.model_fields if (value := getattr(self, name)) is not None}
        )

    @property
    def held_out(self) -> Mapping[str, Any] | None:
        """What is held back from the training."""
        wanted = ValidationKnob() if self.validation is True else self.validation
        return wanted.model_dump() if isinstance(wanted, ValidationKnob) else None

    def _dataset_name(self) -> str | None:
        return name_after(self.dataset, self.datasets or ())

    def steps_between_looks(self, process: Mapping[str, Any]) -> int:
        """Return how often `stop_when` looks, for a config that a preset made."""
        held_out = self.held_out
        if self.stop_when is None or self.stop_when.no_better is StopMeasure.LIKENESS or held_out is None:
            return int(process["sample"]["sample_every"])
        return int(held_out["every"])

    def other_tiers(self) -> Sequence[WayOut]:
        """Return the preset with the same knobs in each of its tiers."""
        if self.preset is None:
            return ()
        found = []
        for tier in get_preset(self.preset).tiers:
            config = build_config(self.preset, self.knobs().model_copy(update={"tier": tier.name}))
            process = config["config"]["process"][0]
            found.append(
                WayOut(field="tier", value=tier.name, process=process, explanation=savings_of(process))
            )
        return found


async def train(
    request: TrainRequest,
    *,
    starts: TrainingStarts,
    sweeps: SweepStarts,
    settings: Settings,
    telemetry: Telemetry,
    job: RunPodJob,
) -> Result:
    """Check everything that can be checked, and submit the training to the process manager."""
    if request.variants is not None:
        return await _sweep(
            request, starts=starts, sweeps=sweeps, settings=settings, telemetry=telemetry, job=job
        )
    config = await STARTS.run(_config, request, settings.max_config_bytes, telemetry)
    if request.preset is None:
        return await starts.start(config, request, job)
    await STARTS.run(starts.check_preset, get_preset(request.preset), request.trainer)
    knobs = request.knobs()
    try:
        answer = await starts.start(config, request, job)
    except (InvalidInput, GpuUnavailable) as error:
        if request.preset is None:
            raise
        raise _by_knobs(error, knobs) from error
    if isinstance(answer, DryRun) and request.preset is not None:
        return answer.model_copy(update={"refused": _fields_by_knobs(answer.refused, knobs)})
    return answer


async def _sweep(
    request: TrainRequest,
    *,
    starts: TrainingStarts,
    sweeps: SweepStarts,
    settings: Settings,
    telemetry: Telemetry,
    job: RunPodJob,
) -> Result:
    """Check every variant, then start them all."""
    preset = request.preset
    if preset is None:
        raise InvalidInput(
            "variants: they go with a preset.",
            hint="For configs, send one `train` for each.",
            details=[{"field": "variants", "error": "goes with a preset"}],
        )
    await STARTS.run(starts.check_preset, get_preset(preset), request.trainer)

    def variant(number: int) -> SweepVariant:
        """Check one variant; blocks."""
        own = validated(request.of_variant, number)
        knobs = own.knobs()
        try:
            config = _config(own, settings.max_config_bytes, telemetry)
            return sweeps.checked(config, own, job, first=number == 0)
        except (InvalidInput, GpuUnavailable) as error:
            raise _by_knobs(error, knobs) from error

    own = [each.model_dump(mode="json", exclude_unset=True) for each in request.variants or ()]
    return await sweeps.start(request, own, variant, job, name=request.model_name or preset)


def _by_knobs(error: WorkerError, knobs: TrainKnobs) -> WorkerError:
    """Return a trainer's refusal with the request's fields in place of the keys that they set in the preset's config."""
    message = error.message
    for detail in error.details:
        if field := detail.get("field"):
            message = message.replace(f"{field}: ", f"{knob_of(field, knobs)}: ")
    return type(error)(message, hint=error.hint, details=_fields_by_knobs(error.details, knobs))


def _fields_by_knobs(details: Sequence[dict[str, Any]], knobs: TrainKnobs) -> list[dict[str, Any]]:
    return [
        {**detail, "field": knob_of(detail["field"], knobs)} if "field" in detail else detail
        for detail in details
    ]


def _config(request: TrainRequest, max_config_bytes: int, telemetry: Telemetry) -> Mapping[str, Any]:
    knobs = request.knobs()
    if (request.config is None) == (request.preset is None):
        raise InvalidInput(
            "Give either a config or a preset.", hint='For example {"preset": "sdxl", "steps": 1000}.'
        )
    if request.datasets is not None and request.dataset is not None:
        raise InvalidInput(
            "Give either dataset or datasets, not both.",
            details=[{"field": "dataset", "error": "is one of datasets, or alone"}],
        )
    if request.preset is not None:
        gpu_memory_bytes = telemetry.gpu_memory_bytes() if knobs.tier is None else None
        config = build_config(request.preset, knobs, gpu_memory_bytes=gpu_memory_bytes)
        if request.stop_when is not None:
            process = config["config"]["process"][0]
            keep_enough(
                process,
                every=request.steps_between_looks(process),
                patience=request.stop_when.patience,
            )
        return config
    if set_knobs := sorted(knobs.model_fields_set):
        raise InvalidInput(
            f"{', '.join(set_knobs)}: these fields go with a preset; write them into the config instead.",
            details=[
                {"field": name, "error": "goes with a preset; write it into the config"} for name in set_knobs
            ],
        )
    assert request.config is not None
    return parse_config(request.config, max_bytes=max_config_bytes)


ACTION = Action(
    type="train",
    summary="Start a training, from an AI Toolkit config or from a preset; or a sweep of several.",
    request=TrainRequest,
    result=Started,
    other_results=(Finished, DryRun, SweepStarted),
    run=train,
    reads_datasets=True,
)


class TrainWithYamlRequest(StartRequest):
    """`train` with its config under another name."""

    yaml_config: str = Field(min_length=1, description="AI Toolkit config, as YAML text.")


async def train_with_yaml(
    request: TrainWithYamlRequest, *, starts: TrainingStarts, settings: Settings, job: RunPodJob
) -> Result:
    """Start a training as `train` does."""
    config = await STARTS.run(parse_config, request.yaml_config, max_bytes=settings.max_config_bytes)
    return await starts.start(config, request, job)


WITH_YAML = Action(
    type="train_with_yaml",
    summary="Start a training from an AI Toolkit config in YAML: `train` under the name that earlier handlers use.",
    request=TrainWithYamlRequest,
    result=Started,
    other_results=(Finished, DryRun),
    run=train_with_yaml,
    reads_datasets=True,
)
