"""What AI Toolkit's last words mean: its messages, and those of the libraries that it uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lorapod.errors import ErrorCode
from lorapod.records.progress import Failure

LONGEST_MESSAGE = 300

_ERROR_LINE = re.compile(r"^Error running job: (?P<message>.*)")
_EXCEPTION = re.compile(r"^[\w.]+(?:Error|Exception|Interrupt)\b")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\w+)')
#: What the loading of a model ends with if a part of it is missing.
_MISSING_PART = re.compile(r"^(?:AttributeError: 'NoneType' object has no attribute|KeyError: )")
#: How the lines of a traceback begin that show source code.
_SOURCE = ('  File "', "    ")
#: Files that only read the config, or make something by a name that the config gives.
_CONFIG_FILES = (
    "toolkit/config_modules.py",
    "toolkit/config.py",
    "toolkit/optimizer.py",
    "toolkit/scheduler.py",
    "toolkit/sampler.py",
    "jobs/BaseJob.py",
)


@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """A known error message of AI Toolkit or of a library."""

    words: re.Pattern[str]
    code: ErrorCode
    message: str
    hint: str


def _known(words: str, code: ErrorCode, message: str, hint: str) -> KnownFailure:
    return KnownFailure(words=re.compile(words, re.IGNORECASE), code=code, message=message, hint=hint)


#: The first match counts; `{0}` is the group of the pattern.
KNOWN_FAILURES = (
    _known(
        r"CUDA out of memory|OOM during training step 3 times|CUDA error: out of memory|cudaErrorMemoryAllocation",
        ErrorCode.OUT_OF_MEMORY,
        "The GPU ran out of memory",
        "Use a smaller resolution, batch size or rank, quantize the model, or take a larger GPU.",
    ),
    _known(
        r"DefaultCPUAllocator: can't allocate memory|\bMemoryError\b|Cannot allocate memory",
        ErrorCode.INSUFFICIENT_MEMORY,
        "The worker ran out of memory",
        "Set num_workers to 0 in the datasets, or take a machine with more memory.",
    ),
    _known(
        r"No space left on device|Disk quota exceeded|errno 28\b|errno 122\b|database or disk is full",
        ErrorCode.INSUFFICIENT_STORAGE,
        "The disk is full",
        "Delete old outputs with `delete` (`lorapod rm`), keep fewer checkpoints (save.max_step_saves_to_keep) or attach a larger volume.",
    ),
    _known(
        r"GatedRepoError|Cannot access gated repo|Access to model (\S+) is restricted",
        ErrorCode.INVALID_INPUT,
        "The model {0} is gated, and this worker's HuggingFace token may not read it",
        "Accept the model's licence on HuggingFace with the account of the worker's HF_TOKEN.",
    ),
    _known(
        r"401 Client Error|403 Client Error|RepositoryNotFoundError|Repository Not Found|Invalid user token",
        ErrorCode.INVALID_INPUT,
        "HuggingFace does not have this model, or the worker's token may not read it",
        "Check model.name_or_path, and the worker's HF_TOKEN if the model is private or gated.",
    ),
    _known(
        r"Cannot load model (\S+): model is not cached locally|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|cannot find the requested files in the (?:local|disk) cache",
        ErrorCode.UPSTREAM_ERROR,
        "The model {0} is not on this worker and could not be downloaded",
        "Check model.name_or_path; if it is right, HuggingFace cannot be reached or HF_HUB_OFFLINE is set.",
    ),
    _known(
        r'pretrained_model_name_or_path "([^"]+)" is neither a valid local path',
        ErrorCode.NOT_FOUND,
        "The model {0} does not exist",
        "Set model.name_or_path to a path in the workspace or a HuggingFace id.",
    ),
    _known(
        r"incomplete metadata, file not fully covered|SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization"
        r"|MetadataIncompleteBuffer",
        ErrorCode.CONFLICT,
        "A safetensors file is damaged or truncated",
        "If it is the base model, download it again; a damaged checkpoint is set aside by `resume`.",
    ),
    _known(
        r"no (?:images|videos) found in (\S+)",
        ErrorCode.INVALID_INPUT,
        "The dataset {0} has no readable image",
        "Upload JPEG, PNG or WebP images.",
    ),
    _known(
        r"\[Errno 2\] No such file or directory: '([^']+)'",
        ErrorCode.NOT_FOUND,
        "A file or folder is missing: {0}",
        "Check the paths in the config.",
    ),
    _known(
        r"UnicodeDecodeError: '([\w-]+)' codec can't decode",
        ErrorCode.INVALID_INPUT,
        "A caption is not {0}",
        "Save all captions as UTF-8.",
    ),
    _known(
        r"cannot identify image file '?([^'\n]+)'?|(image file is truncated)|Error processing image: (\S.*)",
        ErrorCode.INVALID_INPUT,
        "An image of the dataset cannot be read: {0}",
        "Replace it; the log names the file.",
    ),
    _known(
        r"Failed to open video file: (.+)|Could not open video file (.+)|Video loading error \((.+?)\)"
        r"|Failed to read frames .* Video: ([^,]+)",
        ErrorCode.INVALID_INPUT,
        "A video of the dataset cannot be read: {0}",
        "Replace it by a video that ffmpeg can read.",
    ),
    _known(
        r"JSONDecodeError: (.+)",
        ErrorCode.INVALID_INPUT,
        "A JSON file of the dataset or the model is damaged: {0}",
        "Correct the file; the log names it.",
    ),
    _known(
        r"LocalTokenNotFoundError|Token is required .* but no token found|EOFError: EOF when reading a line"
        r"|Invalid username or password|don't have the rights to create a model under the namespace",
        ErrorCode.INVALID_INPUT,
        "The weights were not published: HuggingFace does not accept the worker's token for save.hf_repo_id",
        "Set HF_TOKEN to a token with write access to that account, or set save.push_to_hub to false.",
    ),
    _known(
        r"unknown file extension: (\S+)",
        ErrorCode.INVALID_INPUT,
        "AI Toolkit cannot write samples of the type {0}",
        "Set sample.format to jpg, png or webp.",
    ),
    _known(
        r"(to\(\) received an invalid combination of arguments - got \([^)]*str[^)]*\))"
        r"|Expected one of cpu, cuda.{1,200} device type at start of device string: (\S+)",
        ErrorCode.INVALID_INPUT,
        "The config names a precision or a device that AI Toolkit does not know: {0}",
        "Set train.dtype, save.dtype and model.vae_dtype to bf16, fp16 or fp32, and remove model.vae_device.",
    ),
    _known(
        r"(can't multiply sequence by non-int of type '\w+'|range\(\) arg 3 must not be zero"
        r"|'[<>]=?' not supported between instances of '(?:str' and '(?:int|float)|(?:int|float)' and 'str)'"
        r"|'(?:str|float)' object cannot be interpreted as an integer"
        r"|integer (?:division or )?modulo by zero|batch_size should be a positive integer)",
        ErrorCode.INVALID_INPUT,
        "A number in the config is text or 0: {0}",
        "Check the numbers of the config, for example datasets[].num_repeats and batch_size: no quotes, at least 1.",
    ),
    _known(
        r"(replace\(\) argument \d must be str, not \w+|requires string as left operand, not \w+"
        r"|'(?:int|bool|float)' object has no attribute '(?:replace|strip|split|lower)')",
        ErrorCode.INVALID_INPUT,
        "Text in the config was read as a number or as true or false: {0}",
        "Put trigger_word and the prompts in quotes.",
    ),
    _known(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(?:\w+)'",
        ErrorCode.INVALID_INPUT,
        "{0} does not take one of the settings that the config gives it",
        "Check train.optimizer_params and train.lr_scheduler_params.",
    ),
    _known(
        r"(Invalid (?:learning rate|weight_decay value|epsilon value|beta parameter)[^\n]{0,80})",
        ErrorCode.INVALID_INPUT,
        "The optimizer does not accept the config: {0}",
        "Check train.lr and train.optimizer_params.",
    ),
    _known(
        r"(optimizer got an empty parameter list)",
        ErrorCode.INVALID_INPUT,
        "The config trains nothing",
        "Check network.network_kwargs, train.train_unet and train.train_text_encoder.",
    ),
    _known(
        r"(Pipeline .{1,80} expected .{1,80} were passed|Error\(s\) in loading state_dict for \w+"
        r"|Cannot load .{1,120} because .{1,80} expected shape|does not appear to have a file named \S+"
        r"|size mismatch for \S+|it looks like \S+ is not the path to a directory containing a file named \S+)",
        ErrorCode.INVALID_INPUT,
        "The model is not of the architecture that model.arch names: {0}",
        "Set model.arch to the model's own architecture.",
    ),
    _known(
        r"((?:I2V|Inpainting|Control|Missing control|Unconditional|Mask|Inpaint)[^\n]{0,40} "
        r"(?:images?|channel)[^\n]{0,80}|[^\n]{0,60}requires control[^\n]{0,60})",
        ErrorCode.INVALID_INPUT,
        "The model needs other images than it got: {0}",
        "Check control_path of the datasets and ctrl_img of the samples.",
    ),
    _known(
        r"((?:Cannot|Can not) (?:use|bypass|cache|unload) .+|All datasets must have .+|.+ requires (?:a|buckets) .+"
        r"|.+ (?:is|are) only supported .+|.+ (?:is|are) not supported (?:with|for|when) .+|.+ are mutually exclusive.*"
        r"|.+ must be safetensors or diffusers.*|.+ is deprecated and is no longer supported|invalid dataset type: .+"
        r"|buckets not found on dataset .+|Buckets required for .+|name_or_path must be specified"
        r"|config file (?:is invalid|error|must) .+|Unknown (?:content_or_style|adapter assist type|guidance loss) .+)",
        ErrorCode.INVALID_INPUT,
        "AI Toolkit does not accept the config: {0}",
        "Correct the config and train again.",
    ),
    _known(
        r"(Unknown job type \S+|Unknown process type: \S+|Unknown optimizer type \S+|Sampler \S+ not supported"
        r"|Scheduler must be [\w, ]+|Environment variable \S+ not set|Missing \"[^\"]+\" key"
        r"|could not convert string to float: '[^']*')",
        ErrorCode.INVALID_INPUT,
        "AI Toolkit does not accept the config: {0}",
        "Correct the config and train again.",
    ),
    _known(
        r"Found no NVIDIA driver|CUDA driver version is insufficient|no kernel image is available|CUDA-capable device"
        r"|CUDA error: (?!out of memory)([^\n]{1,80})|Torch not compiled with CUDA",
        ErrorCode.GPU_UNAVAILABLE,
        "The GPU does not work with this worker's PyTorch",
        "Use a machine with a newer driver or another GPU type; the log has the details.",
    ),
    _known(
        r"ModuleNotFoundError: No module named '([^']+)'|ImportError: (.{1,80})",
        ErrorCode.INTERNAL,
        "AI Toolkit's Python environment is incomplete: {0}",
        "Install AI Toolkit's requirements for the Python in AI_TOOLKIT_PYTHON.",
    ),
)


def known_failure(lines: Sequence[str]) -> Failure | None:
    """Return the failure of the last line with a known message; earlier errors were survived, or led to this one."""
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    said = [line for line in _last_traceback(lines) if not line.startswith(_SOURCE)]
    for line in (*reversed(errors), *reversed(said)):
        for pattern in KNOWN_FAILURES:
            if match := pattern.words.search(line):
                what = next((group for group in match.groups() if group), "")
                message = " ".join(pattern.message.format(short(what)).split())
                return Failure(code=pattern.code, message=f"{message}.", hint=pattern.hint)
    return _refused_config(lines)


def _refused_config(lines: Sequence[str]) -> Failure | None:
    """Return the failure of a traceback that ends where AI Toolkit reads its config, or in a model that lacks a part."""
    traceback = _last_traceback(lines)
    frames = [match for line in traceback if (match := _FRAME.match(line))]
    said = last_error(lines)
    if not frames or not said:
        return None
    if frames[-1]["file"].endswith(_CONFIG_FILES):
        return Failure(
            code=ErrorCode.INVALID_INPUT,
            message=f"AI Toolkit does not accept the config: {said}.",
            hint="Correct the config and train again; the log has the traceback.",
        )
    loading = any(frame["function"] == "load_model" for frame in frames)
    if loading and any(_MISSING_PART.match(line) for line in traceback):
        return Failure(
            code=ErrorCode.INVALID_INPUT,
            message=f"The model lacks a part that its architecture has: {said}.",
            hint="Set model.arch to the model's own architecture, or download the model again.",
        )
    return None


def _last_traceback(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines from the last traceback on, because earlier errors were caught; without a traceback, all lines."""
    for place in range(len(lines) - 1, -1, -1):
        if lines[place].startswith("Traceback (most recent call last)"):
            return lines[place:]
    return lines


def last_error(lines: Sequence[str]) -> str:
    """Return the reason that AI Toolkit gave, else the last line of a traceback."""
    for line in reversed(lines):
        if match := _ERROR_LINE.match(line):
            return short(match["message"])
    for line in reversed(lines):
        if _EXCEPTION.match(line):
            return short(line)
    return ""


def short(text: str) -> str:
    """Return the text in one line that a message has room for, without a full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 3]}..."
