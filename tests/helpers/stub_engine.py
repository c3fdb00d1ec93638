"""A `docker` command for tests: its containers are processes of this machine.

A process gets the environment that was asked for, and links in place of mounts. So everything but
the isolation is real, where no engine is. The command keeps what it knows in the folder that it is
in: `images.json`, `asked.jsonl` (the arguments of each call), and a file for each container, with
its process id.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
HELPERS = Path(__file__).parent


@dataclass
class FakeImage:
    """What an image has: a Python, with these options, that looks for modules there."""

    python: tuple[str, ...] = (sys.executable,)
    modules: str = f"{SOURCE}:{HELPERS}"
    digests: tuple[str, ...] = ()
    to_pull: bool = False

    @property
    def id(self) -> str:
        return f"sha256:{abs(hash((self.python, self.modules))):064x}"


class StubEngine:
    """The command's folder, for a test to arrange and to look at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = folder / "docker"
        # Without what Python loads at its start, it is there in no time.
        command.write_text(f"#!{sys.executable} -IS\n{COMMAND}")
        command.chmod(0o755)

    def add(self, name: str, image: FakeImage) -> FakeImage:
        file = self.folder / "images.json"
        images = json.loads(file.read_text()) if file.exists() else {}
        images[name] = {**asdict(image), "id": image.id}
        file.write_text(json.dumps(images))
        return image

    def asked(self, verb: str) -> list[list[str]]:
        """The arguments of each call of that verb."""
        file = self.folder / "asked.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [each for each in map(json.loads, lines) if each[0] == verb]

    def option(self, name: str) -> list[str]:
        """The values of an option of the one `run`."""
        (arguments,) = self.asked("run")
        head = f"--{name}="
        return [each.removeprefix(head) for each in arguments if each.startswith(head)]

    def containers(self) -> list[int]:
        """The process ids of those that are there."""
        return [int(file.read_text()) for file in (self.folder / "containers").glob("*")]


COMMAND = r"""
import csv, json, os, signal, subprocess, sys
from pathlib import Path

HERE = Path(sys.argv[0]).parent
CONTAINERS = HERE / "containers"
CONTAINERS.mkdir(exist_ok=True)
arguments = sys.argv[1:]
with (HERE / "asked.jsonl").open("a") as file:
    file.write(json.dumps(arguments) + "\n")


def refuse(said, code=1):
    print(said, file=sys.stderr)
    sys.exit(code)


if (HERE / "down").exists():
    refuse("Cannot connect to the Docker daemon at unix:///nowhere.sock. Is it running?")
images = json.loads((HERE / "images.json").read_text())


def image(name):
    for known, found in images.items():
        if not found["to_pull"] and name in (known, known.removesuffix(":latest"), found["id"]):
            return found
    refuse(f"Error response from daemon: No such image: {name}")


def options(name):
    return [each.partition("=")[2] for each in arguments if each.startswith(f"--{name}=")]


def mounts():
    for line in options("mount"):
        (fields,) = csv.reader([line])
        given = dict(each.split("=", 1) for each in fields if "=" in each)
        yield Path(given["target"]), given["source"]


def run():
    if (HERE / "full").exists():
        refuse("docker: Error response from daemon: no space left on device", 125)
    at = arguments.index("--entrypoint")
    found, command = image(arguments[at + 2]), arguments[at + 3 :]
    (name,) = options("name")
    for target, source in mounts():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": found["modules"]}
    env |= dict(each.split("=", 1) for each in options("env"))
    code = 0
    try:
        if not found["python"]:
            refuse('docker: exec: "python": executable file not found in $PATH', 127)
        process = subprocess.Popen([*found["python"], *command], env=env, start_new_session=True)
        # As the real one does: what it is told goes on to the container.
        signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
        (CONTAINERS / name).write_text(str(process.pid))
        code = process.wait()
    finally:
        (CONTAINERS / name).unlink(missing_ok=True)
        for target, _ in mounts():
            target.unlink()
    sys.exit(code if code >= 0 else 128 - code)


def remove(name):
    try:
        os.killpg(int((CONTAINERS / name).read_text()), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        refuse(f"Error response from daemon: No such container: {name}")


def pull(name):
    full = name if ":" in name else f"{name}:latest"
    if full not in images:
        refuse(f"Error response from daemon: pull access denied for {name}")
    print("latest: Pulling from library/mine", "1a: Pulling fs layer", "2b: Pulling fs layer",
          "1a: Download complete", "1a: Pull complete", "2b: Pull complete", sep="\n")
    images[full]["to_pull"] = False
    (HERE / "images.json").write_text(json.dumps(images))


match arguments:
    case ["version", *_]:
        print("stub")
    case ["image", "inspect", name]:
        found = image(name)
        print(json.dumps([{"Id": found["id"], "RepoDigests": found["digests"]}]))
    case ["pull", name]:
        pull(name)
    case ["rm", "--force", name]:
        remove(name)
    case ["run", *_]:
        run()
    case _:
        refuse(f"unknown command: {arguments}")
"""
