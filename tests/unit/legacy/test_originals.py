"""Commands of the original, by release: each comes to what it ran, or a note says what differs."""

from __future__ import annotations

import functools
import shlex
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy.launch_command import from_launch_command
from modelzoo_runner.legacy.pipeline import Call
from modelzoo_runner.machine import allocator, processor, topology
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.resolve import resolve
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import presets

ENTRIES = Path(__file__).with_name("launch_entries.txt")

NAMED = {
    "batch": ("batch_size",),
    "inter": ("num_inter_threads", "socket, threads"),
    "intra": ("num_intra_threads", "socket, threads"),
    "omp": ("OMP_NUM_THREADS",),
    "block": ("KMP_BLOCKTIME",),
    "warm": ("steps",),
    "steps": ("steps",),
    "alloc": ("tcmalloc",),
    "cores": ("numa_cores_per_instance",),
    "instances": ("numa_cores_per_instance",),
}
"""What a note on each field has to name."""

MACHINE = topology.Topology(
    cpus=tuple(
        topology.Cpu(id=id, core=id % 56, socket=id % 56 // 28, node=id % 56 // 28)
        for id in range(112)
    ),
    memory_nodes=tuple(
        topology.MemoryNode(
            id=node,
            cpus=tuple(id for id in range(112) if id % 56 // 28 == node),
            memory_bytes=2**36,
        )
        for node in (0, 1)
    ),
    affinity=tuple(range(112)),
)


@pytest.fixture(autouse=True)
def xeon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has all precisions, whatever this one is."""
    flags = frozenset({"avx2", "avx512f", "avx512_vnni", "avx512_bf16"})
    monkeypatch.setattr(processor, "flags", lambda: flags)


@dataclass(frozen=True)
class Entry:
    kind: str
    release: str
    arguments: str
    verb: str
    expected: dict[str, str]
    refused: str

    @property
    def call(self) -> Call:
        command = f"python launch_benchmark.py --framework tensorflow {self.arguments}"
        call = from_launch_command(command, release=self.release)
        assert isinstance(call, Call)
        return call


def read() -> list[Entry]:
    found = []
    for line in ENTRIES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        kind, releases, arguments, said = (each.strip() for each in line.split("|"))
        verb, *rest = said.split()
        for release in releases.split():
            own = {}
            pairs = [each.partition("=") for each in rest if verb != "refused"]
            for name, _, value in sorted(pairs, key=lambda pair: "@" in pair[0]):
                name, at, only = name.partition("@")
                if not at or only == release:
                    own[name] = value
            refused = rest[0] if verb == "refused" else ""
            found.append(Entry(kind, release, arguments, verb, own, refused))
    return found


def ran(call: Call) -> dict[str, str]:
    """What the call comes to, on the machine."""
    found = presets.find(call.model)
    request = check(Request(kind=call.verb, **call.arguments), found)
    placement, instances = planner.placements(found, request)
    plan = resolve(found, request, placement, instances)
    return {
        "batch": str(plan.batch_size),
        "inter": str(placement.inter_threads),
        "intra": str(placement.intra_threads),
        "omp": placement.env.get("OMP_NUM_THREADS", "unset"),
        "block": placement.env.get("KMP_BLOCKTIME", "unset"),
        "warm": str(plan.warmup_steps),
        "steps": str(plan.steps),
        "alloc": placement.allocator,
        "cores": str(request.cores_per_instance),
        "instances": str(request.instances),
    }


READ_ONCE = functools.cache(presets.read)
FOUND_ONCE = functools.cache(metadata.entry_points)  # there are hundreds of plans


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "read", READ_ONCE)
    monkeypatch.setattr(metadata, "entry_points", FOUND_ONCE)
    monkeypatch.setattr(topology, "read", lambda *_, **__: MACHINE)
    monkeypatch.setattr(allocator, "available", lambda: {"tcmalloc": "libtcmalloc.so"})
    for name in ("OMP_NUM_THREADS", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)


def outcome(entry: Entry, *, without_notes: bool = False) -> tuple[str, str]:
    """`equal`, `noted`, `refused` or `silent`, and in what."""
    try:
        call = entry.call
    except RequestError as error:
        is_meant = bool(entry.refused) and entry.refused in str(error)
        return ("refused" if is_meant else "silent", str(error))
    words = shlex.split(entry.arguments)
    flags = ("-m", "-p", "-d", "-g", "-i")
    given = {flag: words[words.index(flag) + 1] for flag in flags if flag in words}
    assert (call.verb, call.model) == (entry.verb, given["-m"])
    names = {"-p": "precision", "-d": "data_location", "-g": "weights"}
    assert all(call.arguments[name] == given[flag] for flag, name in names.items() if flag in given)
    assert call.arguments.get("socket_id", -1) == int(given.get("-i", -1))
    here = ran(call)
    different = [name for name, value in entry.expected.items() if here[name] != value]
    said = [] if without_notes else [f"{note.was} {note.now}" for note in call.notes]
    silent = [
        f"{name}: {entry.expected[name]} there, {here[name]} here"
        for name in different
        if not any(word in note for word in NAMED[name] for note in said)
    ]
    if silent:
        return "silent", "; ".join(silent)
    return ("noted", ", ".join(different)) if different else ("equal", "")


COUNTS = {
    ("test", "1.3"): (29, 15, 1),
    ("test", "1.4"): (37, 16, 1),
    ("test", "1.5"): (39, 14, 1),
    ("test", "1.8"): (34, 4, 1),
    ("test", "2.4"): (39, 9, 1),
    ("readme", "1.3"): (29, 13, 0),
    ("readme", "1.4"): (35, 13, 0),
    ("readme", "1.5"): (36, 12, 0),
    ("readme", "1.8"): (29, 6, 0),
    ("readme", "2.4"): (42, 9, 0),
    ("readme", "3.1"): (13, 1, 4),
    ("open", "1.3"): (12, 6, 0),
    ("open", "1.4"): (14, 8, 0),
    ("open", "1.5"): (14, 8, 0),
    ("open", "1.8"): (13, 4, 0),
    ("open", "2.4"): (14, 5, 0),
}
"""How many entries are equal, noted and refused."""


def test_nothing_differs_in_silence() -> None:
    counts: dict[tuple[str, str], Counter[str]] = {}
    silent = []
    for entry in read():
        what, why = outcome(entry)
        counts.setdefault((entry.kind, entry.release), Counter())[what] += 1
        if what == "silent":
            silent.append(f"{entry.release} {entry.arguments}: {why}")
    print()
    for (kind, release), found in sorted(counts.items()):
        each_kind = ("equal", "noted", "refused", "silent")
        said = ", ".join(f"{found[each]} {each}" for each in each_kind)
        print(f"{release} {kind}: {said} of {found.total()}")
    assert not silent, "\n".join(silent)
    kinds = ("equal", "noted", "refused")
    assert {key: tuple(found[each] for each in kinds) for key, found in counts.items()} == COUNTS


def test_without_its_notes_a_command_differs_in_silence() -> None:
    noted = [entry for entry in read() if entry.release == "1.3" and outcome(entry)[0] == "noted"]
    assert {outcome(entry, without_notes=True)[0] for entry in noted} == {"silent"}
