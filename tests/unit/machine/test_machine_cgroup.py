import pytest
from machine_trees import CGROUP2

from modelzoo_runner.machine.cgroup import Limits, limits, memory_limit, throttling


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V1 = (
    "31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 23 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)
V1_GROUPS = "5:cpuset:/docker/box\n4:cpu,cpuacct:/docker/box\n1:name=systemd:/docker/box"

CASES = {
    "none": ({}, Limits()),
    "version 2, nothing set": (
        {
            "proc/self/cgroup": "0::/user.slice",
            "proc/self/mountinfo": CGROUP2,
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000",
            "sys/fs/cgroup/user.slice/cpuset.cpus": "",
        },
        Limits(),
    ),
    "version 2, own group is the top of the mount": (
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": CGROUP2,
            "sys/fs/cgroup/cpu.max": "50000 100000",
            "sys/fs/cgroup/cpuset.cpus.effective": "2-3",
            "sys/fs/cgroup/cpuset.mems.effective": "1",
        },
        Limits(cpus=(2, 3), memory_nodes=(1,), quota=0.5),
    ),
    "version 2, the parent's quota is smaller": (
        {
            "proc/self/cgroup": "0::/a/b",
            "proc/self/mountinfo": CGROUP2,
            "sys/fs/cgroup/a/cpu.max": "100000 100000",
            "sys/fs/cgroup/a/b/cpu.max": "800000 100000",
            "sys/fs/cgroup/a/cpuset.cpus.effective": "0-7",
            "sys/fs/cgroup/a/b/cpuset.cpus.effective": "4",
        },
        Limits(cpus=(4,), quota=1.0),
    ),
    "version 2, seen from outside the namespace": (
        {
            "proc/self/cgroup": "0::/../outside",
            "proc/self/mountinfo": CGROUP2,
            "sys/fs/cgroup/cpu.max": "300000 100000",
        },
        Limits(quota=3.0),
    ),
    "version 1, a container sees its group as the top": (
        {
            "proc/self/cgroup": V1_GROUPS,
            "proc/self/mountinfo": V1.replace(" / ", " /docker/box "),
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpuset/cpuset.cpus": "0-1",
            "sys/fs/cgroup/cpuset/cpuset.mems": "0",
        },
        Limits(cpus=(0, 1), memory_nodes=(0,), quota=2.5),
    ),
    "version 1, nested": (
        {
            "proc/self/cgroup": V1_GROUPS,
            "proc/self/mountinfo": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/box/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/docker/box/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpuset/docker/box/cpuset.effective_cpus": "3",
            "sys/fs/cgroup/cpuset/docker/box/cpuset.cpus": "0-3",
        },
        Limits(cpus=(3,), quota=0.5),
    ),
    "mixture: the CPU controller is in version 2": (
        {
            "proc/self/cgroup": "5:cpuset:/\n0::/box",
            "proc/self/mountinfo": V1 + CGROUP2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
            "sys/fs/cgroup/unified/box/cpu.max": "150000 100000",
            "sys/fs/cgroup/cpuset/cpuset.cpus": "0-7",
        },
        Limits(cpus=tuple(range(8)), quota=1.5),
    ),
    "no list of mounts": (
        {"proc/self/cgroup": "0::/box", "sys/fs/cgroup/box/cpu.max": "50000 100000"},
        Limits(quota=0.5),
    ),
    "a mount point with a space": (
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": CGROUP2.replace("/sys/fs/cgroup", "/run/c\\040g"),
            "run/c g/cpu.max": "50000 100000",
        },
        Limits(quota=0.5),
    ),
    "nonsense": (
        {
            "proc/self/cgroup": "0::/\nbroken",
            "proc/self/mountinfo": CGROUP2 + "\nbroken line",
            "sys/fs/cgroup/cpu.max": "lots 0",
            "sys/fs/cgroup/cpuset.cpus.effective": "3-1",
        },
        Limits(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_limits(tmp_path, name):
    files, expected = CASES[name]
    assert limits(tree(tmp_path, files)) == expected


def test_throttling_of_version_2_is_in_microseconds(tmp_path):
    files = {
        "proc/self/cgroup": "0::/box",
        "proc/self/mountinfo": CGROUP2,
        "sys/fs/cgroup/box/cpu.stat": "nr_periods 40\nnr_throttled 7\nthrottled_usec 2500000",
        "sys/fs/cgroup/cpu.stat": "usage_usec 5",
    }
    assert throttling(tree(tmp_path, files)) == (7, 2.5)


def test_throttling_of_version_1_is_in_nanoseconds(tmp_path):
    files = {
        "proc/self/cgroup": V1_GROUPS,
        "proc/self/mountinfo": V1,
        "sys/fs/cgroup/cpu,cpuacct/docker/box/cpu.stat": (
            "nr_throttled 7\nthrottled_time 2500000000"
        ),
        "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_throttled 0\nthrottled_time 0",
    }
    assert throttling(tree(tmp_path, files)) == (7, 2.5)


def test_throttling_unknown(tmp_path):
    assert throttling(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "proc/self/mountinfo": CGROUP2,
                "sys/fs/cgroup/a/memory.max": "4096",
                "sys/fs/cgroup/a/b/memory.max": "max",
            },
            4096,
        ),
        (
            {
                "proc/self/cgroup": "8:memory:/docker/box",
                "sys/fs/cgroup/memory/docker/box/memory.limit_in_bytes": "8192",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            8192,
        ),
        (
            {
                "proc/self/cgroup": "8:memory:/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
        ),
    ],
    ids=["none", "version 2, the parent's", "version 1", "version 1, nothing set"],
)
def test_memory(tmp_path, files, limit):
    assert memory_limit(tree(tmp_path, files)) == limit
