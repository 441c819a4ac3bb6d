"""The sample prompts of a preset, if the caller gives none: three situations with the subject of the training."""

from __future__ import annotations

from typing import Any, Final

from lorapod.errors import InvalidInput
from lorapod.trainers.presets.preset import Preset
from lorapod.wire.knobs import TrainKnobs
from lorapod.wire.presets import Learns

#: Near and far, by day and by night: a subject that is learnt shows in each, one that is not looks different in each.
_SITUATIONS: Final = (
    "a close-up photo of {}, soft window light",
    "{} on a beach at sunset",
    "{} in a snowy street at night",
)
_MOVING: Final = (
    "a close-up video of {}, turning towards the camera",
    "{} on a beach at sunset, waves roll in",
    "{} in a snowy street at night, snow is falling",
)


def set_prompts(process: dict[str, Any], preset: Preset, knobs: TrainKnobs) -> None:
    """Set the prompts of the samples: the caller's, else those of the subject, else the preset's.

    Raises:
        InvalidInput: a prompt names no control image, without which the trainer fails at the first sample of this model.
    """
    prompts = knobs.sample_prompts
    if preset.samples_need_control:
        prompts = prompts or []
        missing = [place for place, prompt in enumerate(prompts) if "--ctrl_img" not in prompt]
        if missing:
            raise InvalidInput(
                "Samples of this model need a control image: add --ctrl_img and a path in the workspace to each prompt.",
                details=[
                    {"field": f"sample_prompts[{place}]", "error": "has no --ctrl_img"} for place in missing
                ],
            )
    if prompts is not None:
        process["sample"]["prompts"] = list(prompts)
        process["train"]["disable_sampling"] = not prompts
        return
    subject = _subject(knobs)
    if subject is not None:
        moves = Learns.VIDEOS in preset.learns and process["sample"].get("num_frames", 1) > 1
        process["sample"]["prompts"] = [
            situation.format(subject) for situation in (_MOVING if moves else _SITUATIONS)
        ]


def _subject(knobs: TrainKnobs) -> str | None:
    """Return the subject as a prompt says it: trigger word and class word, or one of them."""
    trigger, kind = knobs.trigger_word, knobs.class_word
    if trigger is not None and kind is not None:
        return f"{trigger} {kind}"
    if kind is not None:
        return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
    return trigger
