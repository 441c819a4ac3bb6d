"""What models are asked: prompts by style, for the model that will be trained on the captions."""

from __future__ import annotations

import re
from enum import StrEnum

from lorapod.errors import InvalidInput

#: Is replaced by the trigger word in a prompt.
TRIGGER_WORD = "{trigger_word}"
#: Is replaced by the image's name in a prompt, without folder and suffix.
FILENAME = "{filename}"
_PLACEHOLDER = re.compile(f"{re.escape(TRIGGER_WORD)}|{re.escape(FILENAME)}")


class CaptionStyle(StrEnum):
    """How captions are written."""

    #: Sentences, as the text encoders of newer models read them.
    NATURAL = "natural"
    #: Words with commas between them, as for models that learnt from tagged images.
    TAGS = "tags"
    #: One short sentence.
    SHORT = "short"


#: Architectures whose text encoder is CLIP alone: it reads 75 tokens, about 50 words, and no grammar to speak of.
_CLIP_ARCHS = ("sd1", "sd2", "sdxl", "ssd", "vega", "pony", "illustrious")
#: Architectures that learn how things move.
_VIDEO_ARCHS = ("wan", "ltx", "hunyuan_video", "hunyuanvideo", "cogvideo")

_PLAIN = (
    "Say what is there as a fact: no 'it seems' or 'possibly', no 'the image shows', nothing about its quality or mood. "
    "Answer with the caption alone."
)
_PROMPTS = {
    CaptionStyle.NATURAL: "Write a caption from which an image generator could make this image: the subject and what it "
    "does, clothing, colours and materials, the surroundings, light, viewpoint and the kind of image. "
    f"Write two to four sentences, beginning with the subject. {_PLAIN}",
    CaptionStyle.TAGS: "List tags that describe this image: the subject first, then details, pose, surroundings, light, "
    "viewpoint and the kind of image. Write 10 to 25 tags of one to three words, in lower case, with commas between them "
    "and no sentence. Answer with the tags alone.",
    CaptionStyle.SHORT: f"Write a caption of at most 12 words for this image, beginning with the subject. {_PLAIN}",
}
_CLIP = " Use 45 words at most."
_MOTION = " These are frames of one video in their order: say also what moves, how it changes, and how the camera moves."
_CALLED = " If the image shows the subject that is called '{trigger_word}', use that word as its name."


def usual_style(arch: str | None) -> CaptionStyle:
    """Return the style that suits the model that will be trained; sentences if it is not known."""
    return CaptionStyle.TAGS if _is(arch, _CLIP_ARCHS) else CaptionStyle.NATURAL


def usual_prompt(style: CaptionStyle, arch: str | None, *, trigger_word: str | None) -> str:
    """Return the prompt of a style for captions that a model of that architecture will be trained on."""
    prompt = _PROMPTS[style]
    if style is CaptionStyle.NATURAL and _is(arch, _CLIP_ARCHS):
        prompt += _CLIP
    if _is(arch, _VIDEO_ARCHS):
        prompt += _MOTION
    return prompt + _CALLED if trigger_word else prompt


def fill_prompt(prompt: str, *, trigger_word: str | None, filename: str | None = None) -> str:
    """Return a prompt with the trigger word and the image's name filled in; braces in these stay as they are.

    Args:
        prompt: with `TRIGGER_WORD` and `FILENAME` in it.
        trigger_word: as the request has it.
        filename: None to leave `FILENAME` as it is.

    Raises:
        InvalidInput: the prompt asks for a trigger word, and there is none.
    """
    if TRIGGER_WORD in prompt and not trigger_word:
        raise InvalidInput(f"prompt: it has {TRIGGER_WORD}, and the request has no trigger_word: give both.")
    values = {TRIGGER_WORD: trigger_word, FILENAME: filename}
    return _PLACEHOLDER.sub(lambda found: values[found[0]] or found[0], prompt)


def _is(arch: str | None, archs: tuple[str, ...]) -> bool:
    return arch is not None and arch.lower().startswith(archs)
