from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tqdm import tqdm

from lorapod.trainers.progress_line import MAX_CHARACTERS, ProgressLine, parse_progress

TYPICAL = "my lora:   5%|▌         | 1/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.187e+00]"


def seen(text: str, name: str = "my lora") -> ProgressLine:
    line = parse_progress(text, name)
    assert line is not None
    return line


def test_a_typical_repaint() -> None:
    assert seen(TYPICAL) == ProgressLine(
        step=1, total_steps=20, steps_per_s=2.91, eta_s=6.0, learning_rate=1e-4, loss=1.187
    )


def test_the_first_repaint_knows_neither_speed_nor_loss() -> None:
    assert seen("my lora:   0%|          | 0/20 [00:00<?, ?it/s]") == ProgressLine(
        step=0, total_steps=20, steps_per_s=None, eta_s=None, learning_rate=None, loss=None
    )


def test_slow_steps_are_told_in_seconds_a_step() -> None:
    line = seen("my lora:  33%|███▎      | 1/3 [00:01<00:02,  1.25s/it, lr: 1.0e-04 loss: 1.107e+00]")
    assert line.steps_per_s == pytest.approx(0.8)


def test_a_speed_of_no_seconds_a_step_is_unknown() -> None:
    assert seen("my lora:  33%|███▎      | 1/3 [00:01<00:02,  0.00s/it]").steps_per_s is None


def test_hours_to_go() -> None:
    line = seen("my lora:   1%|          | 12/2000 [00:09<27:46:39, 50.30s/it, lr: 1.0e-04 loss: 8.753e-01]")
    assert line.eta_s == 27 * 3600 + 46 * 60 + 39


def test_a_bar_drawn_in_ascii() -> None:
    assert (
        seen("my lora:  45%|####5     | 9/20 [00:01<00:01, 17.89it/s, lr: 1.0e-04 loss: 8.7e-01]").step == 9
    )


def test_escape_codes_and_blanks_around_do_not_matter() -> None:
    assert seen(f"\x1b[A  \x1b[2K{TYPICAL}\x1b[A   ").step == 1


def test_further_losses_are_passed_over() -> None:
    line = seen(
        "my lora:   5%|▌  | 1/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: 1.2e+00 prior/loss: 9.0e+00]"
    )
    assert line.loss == 1.2


@pytest.mark.parametrize("loss", ["nan", "inf", "-inf", "?"])
def test_a_loss_that_is_no_number_is_unknown(loss: str) -> None:
    assert seen(f"my lora:   5%|▌  | 1/20 [00:00<00:06,  2.91it/s, lr: 1.0e-04 loss: {loss}]").loss is None


@pytest.mark.parametrize(
    "other",
    [
        "",
        "Loading weights: 100%|██████████| 36/36 [00:00<00:00, 10448.75it/s]",
        "Caching latents to disk:  17%|█▋        | 1/6 [00:00<00:03,  1.60it/s]",
        "Generating Images: 100%|██████████| 1/1 [00:00<00:00,  2.45it/s]\x1b[A",
        "100%|██████████| 6/6 [00:00<00:00, 572.34it/s]",
        "my lora",
        "my lora: it goes well",
        "my lora: 50it [00:00, 2.9it/s]",
        "# Running job: my lora",
        "another my lora:   5%|▌         | 1/20 [00:00<00:06,  2.91it/s]",
        "my lora 2:   5%|▌         | 1/20 [00:00<00:06,  2.91it/s]",
        TYPICAL + " and more",
        TYPICAL + " " * MAX_CHARACTERS,
    ],
)
def test_other_lines_are_not_read(other: str) -> None:
    assert parse_progress(other, "my lora") is None


@pytest.mark.parametrize("name", ["a+b (v2).[x]", "50%", "*", "naïve ß"])
def test_a_name_is_taken_literally(name: str) -> None:
    assert seen(f"{name}:   5%|▌         | 1/20 [00:00<00:06,  2.91it/s]", name).step == 1


@given(
    total=st.integers(1, 10**9),
    share=st.floats(0, 1),
    elapsed=st.floats(0.01, 10**6),
    rate=st.one_of(st.none(), st.floats(1e-4, 1e4)),
    loss=st.floats(0, 1e6),
    ascii_bar=st.booleans(),
)
def test_whatever_tqdm_draws_is_read_back(
    *, total: int, share: float, elapsed: float, rate: float | None, loss: float, ascii_bar: bool
) -> None:
    step = min(total, int(total * share))
    drawn = tqdm.format_meter(
        step,
        total,
        elapsed,
        ncols=None,
        prefix="job",
        ascii=ascii_bar,
        rate=rate,
        postfix=f"lr: {1e-4:.1e} loss: {loss:.3e}",
    )
    line = seen(drawn, "job")
    assert (line.step, line.total_steps, line.learning_rate) == (step, total, 1e-4)
    assert line.loss == pytest.approx(loss, rel=1e-3, abs=1e-12)
    if rate is not None and step:
        assert line.steps_per_s == pytest.approx(rate, rel=0.5, abs=0.01)
        # An end that is decades away is not read: it has more digits than a time on a bar may have.
        assert line.eta_s is not None or (total - step) / rate > 10**9


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assume(not text.startswith("job: "))
    assert parse_progress(text, "job") is None


@given(st.text(alphabet="0123456789%|#/[]<>?:, .itsaelrnf+-", max_size=120))
def test_nothing_behind_the_name_breaks_it(rest: str) -> None:
    line = parse_progress(f"job: {rest}", "job")
    assert line is None or all(
        number is None or math.isfinite(number)
        for number in (line.steps_per_s, line.eta_s, line.learning_rate, line.loss)
    )
