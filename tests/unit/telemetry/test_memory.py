from pathlib import Path

import pytest

from lorapod.telemetry.memory import Memory, MemoryLimit, host_memory, memory_of

GIB = 1 << 30
HOST = Memory(
    total_bytes=64 * GIB, used_bytes=16 * GIB, available_bytes=48 * GIB, limited_by=MemoryLimit.HOST
)


@pytest.fixture
def cgroup_root(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


@pytest.fixture
def proc_root(tmp_path: Path) -> Path:
    return tmp_path / "proc"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def v2(folder: Path, *, limit: int | str, usage: int, inactive_file: int = 0) -> None:
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.current", f"{usage}\n")
    write(folder / "memory.stat", f"anon 5\nfile 7\ninactive_file {inactive_file}\nactive_file 9\n")


def v1(folder: Path, *, limit: int, usage: int, inactive_file: int = 0) -> None:
    write(folder / "memory.limit_in_bytes", f"{limit}\n")
    write(folder / "memory.usage_in_bytes", f"{usage}\n")
    write(folder / "memory.stat", f"inactive_file 1\ntotal_inactive_file {inactive_file}\n")


def read(cgroup_root: Path, proc_root: Path, host: Memory = HOST) -> Memory:
    return memory_of(cgroup_root=cgroup_root, proc_root=proc_root, host=lambda: host)


def test_v2_limit_counts_and_droppable_cache_is_available(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/\n")
    v2(cgroup_root, limit=8 * GIB, usage=6 * GIB, inactive_file=2 * GIB)
    assert read(cgroup_root, proc_root) == Memory(
        total_bytes=8 * GIB, used_bytes=4 * GIB, available_bytes=4 * GIB, limited_by=MemoryLimit.CONTAINER
    )


def test_v1_limit_counts_whatever_its_namespace_calls_the_group(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "12:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n")
    v1(cgroup_root / "memory", limit=4 * GIB, usage=3 * GIB, inactive_file=GIB)
    assert read(cgroup_root, proc_root) == Memory(
        total_bytes=4 * GIB, used_bytes=2 * GIB, available_bytes=2 * GIB, limited_by=MemoryLimit.CONTAINER
    )


def test_nested_groups_give_the_smallest_limit_and_the_least_that_any_has_left(
    cgroup_root: Path, proc_root: Path
) -> None:
    write(proc_root / "self/cgroup", "0::/pod/container\n")
    v2(cgroup_root / "pod", limit=16 * GIB, usage=15 * GIB)
    v2(cgroup_root / "pod/container", limit=8 * GIB, usage=2 * GIB)
    found = read(cgroup_root, proc_root)
    assert (found.total_bytes, found.available_bytes) == (8 * GIB, GIB)


def test_a_parent_limits_a_group_without_a_limit(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/pod/container\n")
    v2(cgroup_root / "pod", limit=2 * GIB, usage=GIB)
    v2(cgroup_root / "pod/container", limit="max", usage=GIB)
    assert read(cgroup_root, proc_root).total_bytes == 2 * GIB


@pytest.mark.parametrize("version", ["v1", "v2", "none"])
def test_without_a_limit_the_machine_counts(cgroup_root: Path, proc_root: Path, version: str) -> None:
    if version == "v1":
        write(proc_root / "self/cgroup", "4:memory:/\n")
        v1(cgroup_root / "memory", limit=9223372036854771712, usage=GIB)
    elif version == "v2":
        write(proc_root / "self/cgroup", "0::/\n")
        v2(cgroup_root, limit="max", usage=GIB)
    assert read(cgroup_root, proc_root) == HOST


def test_a_limit_above_the_machine_is_the_machine(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/\n")
    v2(cgroup_root, limit=128 * GIB, usage=GIB)
    assert read(cgroup_root, proc_root) == HOST


def test_a_busy_machine_leaves_less_than_the_container_may_use(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/\n")
    v2(cgroup_root, limit=8 * GIB, usage=GIB)
    busy = Memory(total_bytes=64 * GIB, used_bytes=63 * GIB, available_bytes=GIB, limited_by=MemoryLimit.HOST)
    found = read(cgroup_root, proc_root, busy)
    assert (found.total_bytes, found.available_bytes) == (8 * GIB, GIB)


def test_a_group_outside_the_namespace_is_read_at_the_mount(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/../../elsewhere\n")
    v2(cgroup_root, limit=GIB, usage=0)
    v2(cgroup_root.parent / "elsewhere", limit=5, usage=5)
    assert read(cgroup_root, proc_root).total_bytes == GIB


@pytest.mark.parametrize("text", ["", "nonsense", "0::/\nx", "::::", "-1\n"])
def test_files_of_another_form_are_no_limit(cgroup_root: Path, proc_root: Path, text: str) -> None:
    write(proc_root / "self/cgroup", f"0::/\n{text}")
    write(cgroup_root / "memory.max", text)
    write(cgroup_root / "memory.current", text)
    assert read(cgroup_root, proc_root) == HOST


def test_usage_above_the_limit_leaves_nothing(cgroup_root: Path, proc_root: Path) -> None:
    write(proc_root / "self/cgroup", "0::/\n")
    v2(cgroup_root, limit=GIB, usage=2 * GIB)
    assert read(cgroup_root, proc_root).available_bytes == 0


def test_this_machine_answers() -> None:
    machine, own = host_memory(), memory_of()
    assert 0 < own.total_bytes <= machine.total_bytes
    assert own.used_bytes + own.available_bytes == own.total_bytes
