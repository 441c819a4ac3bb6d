from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from lorapod.errors import ErrorCode
from lorapod.processes.launch import ChildExit
from lorapod.records.progress import Failure
from lorapod.trainers.ai_toolkit.outcome import CLOCK_SKEW_S, judge
from lorapod.trainers.port import Outcome

LAUNCHED_AT = 1_700_000_000.0
STOPPED = [
    "",
    "========================================",
    "Job stopped",
    "========================================",
]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    write(tmp_path / "config.yaml", LAUNCHED_AT + 10)
    return tmp_path


def write(path: Path, time_s: float) -> None:
    path.write_bytes(b"")
    os.utime(path, (time_s, time_s))


def outcome(
    run_folder: Path,
    *,
    code: int | None = 0,
    number: signal.Signals | None = None,
    asked: bool = False,
    lines: Sequence[str] = (),
) -> Outcome:
    child = ChildExit(
        exit_code=None if number else code,
        signal=number,
        stop_requested=asked,
        launched_at=LAUNCHED_AT,
        last_lines=lines,
    )
    return judge(run_folder, "lora", child)


def failure(run_folder: Path, *lines: str, code: int = 1) -> Failure:
    found = outcome(run_folder, code=code, lines=lines).failure
    assert found is not None
    return found


class TestSuccess:
    def test_it_is_the_final_weights_of_this_run(self, run_folder: Path) -> None:
        write(run_folder / "lora.safetensors", LAUNCHED_AT + 99)
        assert outcome(run_folder) == Outcome(succeeded=True)

    def test_a_wish_to_stop_that_came_too_late_changes_nothing(self, run_folder: Path) -> None:
        write(run_folder / "lora.safetensors", LAUNCHED_AT + 99)
        assert outcome(run_folder, asked=True).succeeded

    def test_exit_0_alone_is_none(self, run_folder: Path) -> None:
        write(run_folder / "lora_000000010.safetensors", LAUNCHED_AT + 99)
        found = outcome(run_folder)
        assert not found.succeeded
        assert found.failure is not None
        assert "lora.safetensors" in found.failure.message

    def test_the_final_weights_of_an_earlier_run_are_none(self, run_folder: Path) -> None:
        write(run_folder / "lora.safetensors", LAUNCHED_AT - CLOCK_SKEW_S - 1)
        assert not outcome(run_folder).succeeded
        write(run_folder / "lora.safetensors", LAUNCHED_AT + 5)
        assert not outcome(run_folder).succeeded

    def test_a_file_server_whose_clock_is_behind(self, run_folder: Path) -> None:
        write(run_folder / "config.yaml", LAUNCHED_AT - 40)
        write(run_folder / "lora.safetensors", LAUNCHED_AT - 20)
        assert outcome(run_folder).succeeded


class TestStops:
    def test_sigint_ends_with_0_and_a_banner(self, run_folder: Path) -> None:
        assert outcome(run_folder, lines=STOPPED) == Outcome(succeeded=False, stopped=True)

    def test_the_banner_counts_even_where_final_weights_are_there(self, run_folder: Path) -> None:
        write(run_folder / "lora.safetensors", LAUNCHED_AT + 99)
        assert outcome(run_folder, lines=STOPPED).stopped

    def test_the_control_table_ends_with_1(self, run_folder: Path) -> None:
        lines = ["Error running job: Job stopped", "Exception: Job stopped"]
        assert outcome(run_folder, code=1, asked=True, lines=lines).stopped

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_stop_by_somebody_else(self, run_folder: Path, number: signal.Signals) -> None:
        assert outcome(run_folder, number=number) == Outcome(succeeded=False, stopped=True)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_our_own_signals(self, run_folder: Path, number: signal.Signals) -> None:
        assert outcome(run_folder, number=number, asked=True).stopped

    def test_a_stop_that_left_nothing(self, run_folder: Path) -> None:
        assert outcome(run_folder, asked=True).stopped


class TestFailures:
    @pytest.mark.parametrize(
        ("line", "code", "words"),
        [
            (
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity",
                ErrorCode.OUT_OF_MEMORY,
                "GPU ran out of memory",
            ),
            (
                "Error running job: OOM during training step 3 times in a row, aborting training",
                ErrorCode.OUT_OF_MEMORY,
                "GPU ran out of memory",
            ),
            (
                "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
                ErrorCode.INSUFFICIENT_MEMORY,
                "worker ran out of memory",
            ),
            ("OSError: [Errno 28] No space left on device", ErrorCode.INSUFFICIENT_STORAGE, "disk is full"),
            ("OSError: [Errno 122] Disk quota exceeded", ErrorCode.INSUFFICIENT_STORAGE, "disk is full"),
            (
                "Error running job: [Errno 2] No such file or directory: '/workspace/training_data/x'",
                ErrorCode.NOT_FOUND,
                "missing: /workspace/training_data/x",
            ),
            (
                "Error running job: no images found in /data/x",
                ErrorCode.INVALID_INPUT,
                "/data/x has no readable image",
            ),
            (
                (
                    'Error running job: The provided pretrained_model_name_or_path "/nonexistent/model" is neither a valid '
                    "local path nor a valid repo id. Please check the parameter."
                ),
                ErrorCode.NOT_FOUND,
                "model /nonexistent/model does not exist",
            ),
            (
                (
                    "Error running job: Cannot load model foo/bar: model is not cached locally and an error occurred while "
                    "trying to fetch metadata from the Hub."
                ),
                ErrorCode.UPSTREAM_ERROR,
                "model foo/bar is not on this worker",
            ),
            (
                "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-2)",
                ErrorCode.INVALID_INPUT,
                "is gated",
            ),
            (
                "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.",
                ErrorCode.INVALID_INPUT,
                "HuggingFace does not have this model",
            ),
            (
                (
                    "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not "
                    "fully covered"
                ),
                ErrorCode.CONFLICT,
                "damaged or truncated",
            ),
            (
                "Error running job: config file is invalid. Unknown process type: foo_trainer",
                ErrorCode.INVALID_INPUT,
                "Unknown process type: foo_trainer",
            ),
            ("Error running job: Unknown job type foo", ErrorCode.INVALID_INPUT, "Unknown job type foo"),
            (
                "Error running job: Unknown optimizer type foo",
                ErrorCode.INVALID_INPUT,
                "Unknown optimizer type foo",
            ),
            (
                "Error running job: Sampler foo not supported",
                ErrorCode.INVALID_INPUT,
                "Sampler foo not supported",
            ),
            (
                "Error running job: could not convert string to float: 'abc'",
                ErrorCode.INVALID_INPUT,
                "could not convert string to float: 'abc'",
            ),
            (
                "RuntimeError: Found no NVIDIA driver on your system.",
                ErrorCode.GPU_UNAVAILABLE,
                "GPU does not work",
            ),
            (
                "ModuleNotFoundError: No module named 'cv2'",
                ErrorCode.INTERNAL,
                "environment is incomplete: cv2",
            ),
        ],
    )
    def test_known_messages(self, run_folder: Path, line: str, code: ErrorCode, words: str) -> None:
        found = failure(run_folder, "Traceback (most recent call last):", line, "", "Result:", " - 1 failure")
        assert found.code is code
        assert words in found.message
        assert found.message.endswith(".")
        assert found.hint

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ("ValueError: save_format must be safetensors or diffusers, got foo", "save_format"),
            ("ValueError: name_or_path must be specified", "name_or_path"),
            ("ValueError: attn_masking is only supported with flux models currently", "attn_masking"),
            (
                "ValueError: gradient_accumulation and gradient_accumulation_steps are mutually exclusive",
                "exclusive",
            ),
            (
                "ValueError: Cannot use both differential output preservation and blank prompt preservation",
                "preservation",
            ),
            (
                "ValueError: Cannot bypass guidance embedding and do guidance loss at the same time.",
                "guidance",
            ),
            (
                "ValueError: All datasets must have cache_text_embeddings set to True when caching",
                "cache_text",
            ),
            ("ValueError: Cannot unload text encoder if training text encoder", "text encoder"),
            ("ValueError: diff_output_preservation requires a trigger_word to be set", "trigger_word"),
            (
                "ValueError: Dataset level batch_size requires buckets to be enabled. Dataset /x has",
                "buckets",
            ),
            ("ValueError: poi is deprecated and is no longer supported", "poi"),
            ("ValueError: invalid dataset type: slider", "slider"),
            ("Exception: Control images not supported for non-bucket datasets", "Control images"),
            ("Exception: Buckets required for video processing", "Buckets"),
            (
                "AssertionError: buckets not found on dataset /x, you either need all buckets or none",
                "buckets",
            ),
            ("ValueError: Missing control images for QwenImageEditPlusModel", "control images"),
            ("ValueError: I2V samples must have a control image", "control image"),
            ("TypeError: 'str' object cannot be interpreted as an integer", "text or 0"),
            ("TypeError: '>' not supported between instances of 'str' and 'int'", "text or 0"),
            ("TypeError: can't multiply sequence by non-int of type 'str'", "num_repeats"),
            ("ValueError: range() arg 3 must not be zero", "text or 0"),
            (
                (
                    "RuntimeError: Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, "
                    "xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: foo"
                ),
                "precision or a device that AI Toolkit does not know: foo",
            ),
            (
                "TypeError: to() received an invalid combination of arguments - got (str, dtype=str), but",
                "precision",
            ),
            ("ValueError: unknown file extension: .foo", "samples"),
            ("TypeError: replace() argument 2 must be str, not int", "Text in the config"),
            ("AttributeError: 'bool' object has no attribute 'strip'", "Text in the config"),
            (
                "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0",
                "caption is not utf-8",
            ),
            ("PIL.UnidentifiedImageError: cannot identify image file '/data/1.png'", "/data/1.png"),
            ("Exception: Failed to open video file: /data/1.mp4", "/data/1.mp4"),
            ("Exception: Video loading error (/data/2.mp4): moov atom not found", "/data/2.mp4"),
            ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "JSON"),
            (
                "huggingface_hub.errors.LocalTokenNotFoundError: Token is required (`token=True`), but",
                "published",
            ),
            ("EOFError: EOF when reading a line", "published"),
            ("TypeError: AdamW.__init__() got an unexpected keyword argument 'foo'", "AdamW"),
            ("ValueError: Invalid learning rate: -1", "learning rate"),
            ("ValueError: optimizer got an empty parameter list", "trains nothing"),
            ("RuntimeError: Error(s) in loading state_dict for UNet2DConditionModel:", "architecture"),
            (
                "ValueError: Pipeline <class 'X'> expected {'vae'}, but only {'unet'} were passed.",
                "architecture",
            ),
        ],
    )
    def test_what_is_the_callers_own(self, run_folder: Path, said: str, words: str) -> None:
        in_traceback = [
            "Traceback (most recent call last):",
            '  File "/app/ai-toolkit/run.py", line 9, in main',
            said,
        ]
        for lines in (in_traceback, [f"Error running job: {said}"]):
            found = failure(run_folder, *lines)
            assert found.code is ErrorCode.INVALID_INPUT, lines
            assert words in f"{found.message} {found.hint}"

    @pytest.mark.parametrize(
        ("file", "code"),
        [
            ("/app/ai-toolkit/toolkit/config_modules.py", ErrorCode.INVALID_INPUT),
            ("/app/ai-toolkit/jobs/BaseJob.py", ErrorCode.INVALID_INPUT),
            ("/app/ai-toolkit/toolkit/saving.py", ErrorCode.INTERNAL),
        ],
    )
    def test_a_traceback_that_ends_where_the_config_is_read(
        self, run_folder: Path, file: str, code: ErrorCode
    ) -> None:
        found = failure(
            run_folder,
            "Error running job: something new",
            "Traceback (most recent call last):",
            '  File "/app/ai-toolkit/run.py", line 120, in main',
            "    job = get_job(config_file, args.name)",
            f'  File "{file}", line 1490, in validate',
            '    raise ValueError("something new")',
            "ValueError: something new",
        )
        assert found.code is code
        assert "something new" in found.message

    @pytest.mark.parametrize(
        ("function", "code"), [("load_model", ErrorCode.INVALID_INPUT), ("train", ErrorCode.INTERNAL)]
    )
    def test_a_model_without_a_part_of_its_architecture(
        self, run_folder: Path, function: str, code: ErrorCode
    ) -> None:
        found = failure(
            run_folder,
            "Error running job: 'NoneType' object has no attribute 'to'",
            "Traceback (most recent call last):",
            f'  File "/app/ai-toolkit/toolkit/stable_diffusion_model.py", line 900, in {function}',
            "    text_encoder.to(self.device_torch)",
            "AttributeError: 'NoneType' object has no attribute 'to'",
        )
        assert found.code is code

    def test_source_code_in_a_traceback_says_nothing(self, run_folder: Path) -> None:
        found = failure(
            run_folder,
            "Traceback (most recent call last):",
            '  File "/x/no images found in /y", line 1, in main',
            '    raise ValueError("no images found in " + path)',
            "RuntimeError: boom",
        )
        assert found.code is ErrorCode.INTERNAL

    def test_what_ai_toolkit_itself_gives_as_the_reason_goes_first(self, run_folder: Path) -> None:
        found = failure(
            run_folder,
            "Error running job: no images found in /data",
            "ImportError: something on the way out",
        )
        assert "no readable image" in found.message

    def test_an_error_that_was_survived_is_not_the_reason(self, run_folder: Path) -> None:
        found = failure(
            run_folder,
            "ModuleNotFoundError: No module named 'triton'",
            "Error running job: boom",
            "Traceback (most recent call last):",
            "ValueError: boom",
        )
        assert found.message == "AI Toolkit failed with exit code 1: boom."

    def test_an_unknown_error_is_told_in_its_own_words(self, run_folder: Path) -> None:
        found = failure(run_folder, "Error running job: 540697199", "KeyError: 540697199")
        assert found.code is ErrorCode.INTERNAL
        assert found.message == "AI Toolkit failed with exit code 1: 540697199."

    def test_an_error_before_ai_toolkit_itself_has_begun(self, run_folder: Path) -> None:
        found = failure(run_folder, "Traceback (most recent call last):", "RuntimeError: boom " + "x" * 900)
        assert found.message.startswith("AI Toolkit failed with exit code 1: RuntimeError: boom")
        assert len(found.message) < 400

    def test_silence(self, run_folder: Path) -> None:
        assert failure(run_folder, code=7).message == "AI Toolkit failed with exit code 7."

    def test_the_oom_killer(self, run_folder: Path) -> None:
        found = outcome(run_folder, number=signal.SIGKILL).failure
        assert found is not None
        assert found.code is ErrorCode.INSUFFICIENT_MEMORY

    def test_a_crash(self, run_folder: Path) -> None:
        found = outcome(run_folder, number=signal.SIGSEGV).failure
        assert found is not None
        assert "SIGSEGV" in found.message
