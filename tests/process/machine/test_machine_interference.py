import json
import os
import subprocess
import sys
import time

import control_groups
import pytest

from modelzoo_runner.machine import interference
from modelzoo_runner.machine.interference import Watch, Window

USABLE = sorted(os.sched_getaffinity(0))

STAT = """\
cpu  999 0 0 0 0 0 0 0 0 0
cpu0 {user} 0 100 5000 10 0 5 {steal} 0 0
cpu1 7777 0 0 0 0 0 0 9999 0 0
intr 12345
"""


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that sets what the files say; the process's own CPU time stands still at 0."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)

    def say(*, user=0, steal=0, throttled=0, mhz=2000.0):
        (tmp_path / "proc/stat").write_text(STAT.format(user=user, steal=steal))
        (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\ncpu MHz\t\t: {mhz}\n")
        (tmp_path / "sys/fs/cgroup/cpu.stat").write_text(
            f"nr_throttled {throttled}\nthrottled_usec {throttled * 50_000}\n"
        )

    say()
    monkeypatch.setattr(interference, "SECONDS_BETWEEN_READINGS", 0.0)
    usage = interference._usage
    monkeypatch.setattr(interference, "_usage", lambda: usage()._replace(cpu_seconds=0.0))
    say.root = tmp_path
    return say


def test_differences_of_what_the_files_say(recorded):
    watch = Watch([0], recorded.root)
    recorded(user=300, steal=50, throttled=4, mhz=1500.0)
    watch.step()
    recorded(user=300, steal=50, throttled=4, mhz=2500.0)
    watch.step()
    counted = watch.stop()
    assert counted.cpus == 1
    assert counted.others_seconds == pytest.approx(3.0)
    assert counted.steal_seconds == pytest.approx(0.5)
    assert counted.throttled_periods == 4
    assert counted.throttled_seconds == pytest.approx(0.2)
    assert counted.mhz == (1500.0, 2500.0)
    assert [window.steps for window in counted.windows] == [1, 1, 0]
    first, second, _ = counted.windows
    assert first.throttled_periods == 4
    assert first.others > second.others == 0.0
    assert first.steal > second.steal == 0.0


def test_start_forgets_what_was_before(recorded):
    watch = Watch([0], recorded.root)
    recorded(user=300)
    watch.step()
    watch.start()
    counted = watch.stop()
    assert counted.others_seconds == 0.0
    assert counted.step_switches == ()


def test_nothing_can_be_read(tmp_path):
    watch = Watch([0], tmp_path)
    watch.step()
    counted = watch.stop()
    assert counted.steal_seconds is counted.others_seconds is counted.throttled_periods is None
    assert counted.mhz is None
    assert counted.windows == (Window(steps=1),)


def test_this_process_is_watched():
    watch = Watch()
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        sum(range(1000))
    watch.step("whatever", "a loop passes along")
    counted = watch.stop()
    assert counted.wall_seconds >= 0.2
    assert 0 < counted.cpu_seconds <= 1.1 * counted.wall_seconds
    assert counted.cpus == len(USABLE)
    assert counted.slept_seconds < 0.01
    assert counted.cpus_lost == ()
    assert len(counted.step_switches) == len(counted.step_faults) == 1
    assert sum(window.steps for window in counted.windows) == 1


def test_windows_cover_the_steps_in_order(monkeypatch):
    monkeypatch.setattr(interference, "SECONDS_BETWEEN_READINGS", 0.02)
    watch = Watch()
    for _ in range(10):
        time.sleep(0.005)
        watch.step()
    counted = watch.stop()
    assert sum(window.steps for window in counted.windows) == 10
    assert len(counted.windows) >= 2
    assert len(counted.step_switches) == 10


def test_the_summary_is_json_without_single_steps():
    watch = Watch()
    watch.step()
    summary = watch.stop().summary()
    assert json.loads(json.dumps(summary)) == summary
    assert {"wall_seconds", "involuntary_switches", "migrations", "cpus_lost"} <= set(summary)
    assert not {"step_switches", "step_faults", "windows"} & set(summary)


def test_a_cpu_that_is_taken_away_is_noticed():
    if len(USABLE) < 2:
        pytest.skip("this process may use one CPU only, so none can be taken away")
    watch = Watch()
    try:
        os.sched_setaffinity(0, USABLE[:-1])
        assert watch.stop().cpus_lost == (USABLE[-1],)
    finally:
        os.sched_setaffinity(0, USABLE)


def test_another_process_on_the_same_cpu_is_seen():
    """For real: a busy child shares the CPU of this thread."""
    cpu = USABLE[-1]
    busy = f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", busy])
    try:
        os.sched_setaffinity(0, [cpu])
        time.sleep(0.3)
        watch = Watch([cpu])
        for _ in range(10):
            end = time.perf_counter() + 0.1
            while time.perf_counter() < end:
                pass
            watch.step()
        counted = watch.stop()
    finally:
        os.sched_setaffinity(0, USABLE)
        child.kill()
        child.wait()
    if counted.others_seconds is None:
        pytest.skip("this kernel's /proc/stat tells nothing")
    assert counted.others_seconds > 0.2 * counted.wall_seconds
    assert counted.involuntary_switches > 0


QUOTA = """
import json, sys, time
from pathlib import Path

from modelzoo_runner.machine import placement, topology, verdict
from modelzoo_runner.machine.interference import Watch

group = Path(sys.argv[1])


def allow(share):
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{int(share * 100_000)} 100000")
    else:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(int(share * 100_000)))


allow(0.5)
(group / "cgroup.procs").write_text("0")
here = topology.read()
placed = placement.choose(here)
allow(0.05)  # so little that it is felt on a busy machine too
watch, seconds = Watch(), []
for _ in range(10):
    start = time.perf_counter()
    sum(range(1_000_000))
    seconds.append(time.perf_counter() - start)
    watch.step()
judged = verdict.judge(seconds, watch.stop())
print(json.dumps([here.quota, len(placed.cpus), placed.warnings, judged.to_dict()]))
"""


def test_a_cpu_quota_is_seen_warned_about_and_felt():
    """Writes to the control groups: runs where that is allowed, which mostly takes root."""
    with control_groups.made("cpu", "cpu.cfs_quota_us", "cpu.max") as group:
        child = subprocess.run(
            [sys.executable, "-c", QUOTA, str(group)], capture_output=True, text=True
        )
    control_groups.skip_if_refused(child.stderr)
    assert child.returncode == 0, child.stderr
    quota, cpus, warnings, judged = json.loads(child.stdout)
    assert quota == 0.5
    assert cpus == 1
    (warning,) = warnings
    assert "0.5 CPUs" in warning and "will be throttled" in warning
    assert judged["verdict"] == "invalid"
    assert any(
        cause.startswith("the CPU quota throttled the run for ") for cause in judged["causes"]
    )
