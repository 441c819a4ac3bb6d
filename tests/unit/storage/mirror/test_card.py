from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from lorapod.storage.mirror.artifact import DEBOUNCE_S, MirroredRun
from lorapod.storage.mirror.card import KEY
from lorapod.storage.mirror.ledger import UploadLedger, read_ledger
from lorapod.storage.mirror.mirror import FIRST_WAIT_S, Mirror
from lorapod.storage.model_card import TrainedModel, is_untouched
from lorapod.storage.port import ObjectStore, StoredObject, StoreRefused, StoreUnavailable
from lorapod.testing.clock import FakeClock
from lorapod.testing.objects import MemoryObjects
from lorapod.wire.dataset import S3Prefix
from lorapod.wire.storage import HuggingFaceRepo, Target, UploadTargets

HUB = UploadTargets(huggingface=HuggingFaceRepo(repo_id="me/cats"))
MODEL = TrainedModel(name="cat", base_model="someone/model", trigger_word="ohwx", prompts=["a cat", "two"])


class Repository(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.cards = 0
        self.card_failure: StoreUnavailable | StoreRefused | None = None

    def put_file(self, path: Path, key: str, **options: object) -> StoredObject:
        if key == KEY:
            self.cards += 1
            if self.card_failure is not None:
                raise self.card_failure
        return super().put_file(path, key, **options)  # type: ignore[arg-type]


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "cat"
        (self.folder / "samples").mkdir(parents=True)
        self.clock = FakeClock()
        self.store = Repository()
        self.mirror = self.fresh()

    def fresh(self, targets: UploadTargets = HUB) -> Mirror:
        path = self.root / "uploads" / "huggingface.json"
        run = MirroredRun(process_id="train_0", folder=self.folder, log=self.root / "train.log", root="cat")
        ledger = read_ledger(path) or UploadLedger(
            target=targets, folder="cat", log="train.log", root="cat", model=MODEL
        )
        return Mirror(
            run,
            ledger,
            path=path,
            open_target=self.open,
            clock=self.clock,
            scratch=self.root / "scratch",
        )

    @contextmanager
    def open(self, target: Target) -> Iterator[ObjectStore]:
        yield self.store

    def weights(self, name: str, step: int) -> None:
        notes = {"training_info": json.dumps({"step": step})}
        header = json.dumps({"__metadata__": notes}).encode()
        (self.folder / name).write_bytes(len(header).to_bytes(8, "little") + header)

    def sample(self, name: str) -> None:
        (self.folder / "samples" / name).write_bytes(b"a picture")

    def settle(self, *, still: bool = False) -> float | None:
        self.mirror.step(still=still)
        self.clock.advance(DEBOUNCE_S)
        return self.mirror.step(still=still)

    def own(self, text: str) -> None:
        path = self.root / "own.md"
        path.write_text(text)
        MemoryObjects.put_file(self.store, path, KEY)

    @property
    def card(self) -> str:
        return self.store.content(KEY).decode()

    @property
    def fields(self) -> dict[str, object]:
        fields: dict[str, object] = yaml.safe_load(self.card.split("---\n", 2)[1])
        return fields


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_no_card_before_there_are_weights(bench: Bench) -> None:
    bench.sample("1__000000000_0.jpg")
    bench.settle()
    assert bench.store.cards == 0
    assert bench.settle(still=True) is None
    assert bench.store.cards == 0


def test_the_card_comes_with_the_first_weights_and_once_more_at_the_end(bench: Bench) -> None:
    for index in range(2):
        bench.sample(f"1__000000250_{index}.jpg")
    bench.weights("cat_000000250.safetensors", 250)
    bench.settle()
    assert "for 250 steps" in bench.card
    bench.weights("cat_000000500.safetensors", 500)
    bench.sample("2__000000500_0.jpg")
    bench.settle()
    assert bench.store.cards == 1
    bench.weights("cat.safetensors", 700)
    bench.sample("3__000000700_1.jpg")
    assert bench.settle(still=True) is None
    assert bench.store.cards == 2
    assert "for 700 steps" in bench.card
    assert "cat/checkpoints/cat.safetensors" in bench.card
    assert bench.fields["base_model"] == "someone/model"
    assert bench.fields["instance_prompt"] == "ohwx"
    assert bench.fields["widget"] == [{"text": "two", "output": {"url": "cat/samples/3__000000700_1.jpg"}}]
    bench.mirror = bench.fresh()
    assert bench.settle(still=True) is None
    assert bench.store.cards == 2


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_card_of_somebodys_own_is_left_alone(bench: Bench, when: str) -> None:
    bench.weights("cat_000000250.safetensors", 250)
    if when == "before":
        bench.own("# My cats\n")
    else:
        bench.settle()
        bench.own(bench.card.replace("# cat", "# My cats"))
    own = bench.card
    bench.weights("cat.safetensors", 700)
    assert bench.settle(still=True) is None
    assert bench.card == own
    assert bench.mirror.ledger.failed == {}


def test_an_untouched_card_of_another_training_is_replaced(bench: Bench) -> None:
    bench.weights("cat.safetensors", 10)
    assert bench.settle(still=True) is None
    first = bench.card
    (bench.root / "uploads" / "huggingface.json").unlink()
    bench.weights("cat.safetensors", 20)
    bench.mirror = bench.fresh()
    assert bench.settle(still=True) is None
    assert bench.card != first
    assert is_untouched(bench.card)


def test_a_hub_that_is_away_gets_the_card_later(bench: Bench) -> None:
    bench.weights("cat.safetensors", 10)
    bench.store.card_failure = StoreUnavailable("away")
    assert bench.mirror.step(still=True) == FIRST_WAIT_S
    assert bench.mirror.ledger.failed == {KEY: "away"}
    bench.store.card_failure = None
    bench.clock.advance(FIRST_WAIT_S)
    assert bench.mirror.step(still=True) is None
    assert bench.mirror.ledger.failed == {}
    assert is_untouched(bench.card)


def test_a_hub_that_refuses_the_card_is_not_asked_again_and_again(bench: Bench) -> None:
    bench.weights("cat_000000250.safetensors", 10)
    bench.store.card_failure = StoreRefused("no")
    for _ in range(3):
        bench.settle()
    assert bench.store.cards == 1
    assert bench.mirror.ledger.failed == {KEY: "no"}


def test_other_targets_get_no_card(bench: Bench) -> None:
    bench.mirror = bench.fresh(UploadTargets(s3=S3Prefix(prefix="cats")))
    bench.weights("cat.safetensors", 10)
    assert bench.settle(still=True) is None
    assert bench.store.cards == 0
