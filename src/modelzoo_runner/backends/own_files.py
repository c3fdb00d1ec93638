"""Model files of runtimes other than TensorFlow: what they have in common as `base.Model`.

A file that was converted from a frozen graph has a JSON file beside it: `origin`, `input` and
`outputs` (role: tensor), and what a result is to hold: `agreement` with TensorFlow, and `notes`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import Compiled, Shape, TensorSpec, fits, show_shape
from modelzoo_runner.errors import GraphError, MissingDependency, RequestError, did_you_mean
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.preset import ROLES

if TYPE_CHECKING:
    from modelzoo_runner.backends.base import Array


def require(extra: str, packages: Sequence[str]) -> None:
    """Nothing, if the packages are installed; they aren't loaded.

    Raises:
        MissingDependency: naming the extra that brings them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"runtime={extra!r} needs {', '.join(missing)}: pip install 'modelzoo_runner[{extra}]'"
        )


def description_file(path: str | Path) -> Path:
    """Where it is written what a converted file was made from."""
    return Path(f"{path}.json")


def description(path: str | Path) -> Mapping[str, Any]:
    """What is written there; nothing for a file that wasn't converted here."""
    try:
        found: Mapping[str, Any] = json.loads(description_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model in a runtime's own format, read and not compiled yet."""

    path: str
    inputs: Mapping[str, TensorSpec]
    outputs: tuple[str, ...]
    int8_layers: int = 0
    native: Any = None

    def guess_tensors(
        self, outputs: Mapping[str, str] | None = None
    ) -> tuple[str, Mapping[str, str]]:
        """The only input, and the outputs by what they are called."""
        if len(self.inputs) != 1:
            raise GraphError(f"{self.path}: name its input=, one of {', '.join(self.inputs)}")
        found = dict(outputs or {})
        if not found and len(self.outputs) == 1:
            found = {"scores": self.outputs[0]}
        if not found:
            named = {each.partition(":")[0]: each for each in self.outputs}
            found = {role: named[role] for role in ROLES["detection"] if role in named}
        if not found:
            raise GraphError(
                f"{self.path}: name its outputs=, such as {{'scores': {self.outputs[0]!r}}}; there "
                f"are {', '.join(self.outputs)}"
            )
        return next(iter(self.inputs)), found

    def present_outputs(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """Those of the outputs (role: tensor) that the model has."""
        return {role: tensor for role, tensor in outputs.items() if tensor in self.outputs}

    def check_tensors(self, input: str, outputs: Mapping[str, str]) -> None:
        """Nothing, if the model has the input and the outputs."""
        for tensor, known in ((input, self.inputs), *((o, self.outputs) for o in outputs.values())):
            if tensor not in known:
                near = did_you_mean(tensor, list(known), otherwise="There are")
                raise GraphError(f"{self.path}: there is no tensor {tensor!r} to use here. {near}")

    def with_feeds(self, feeds: Mapping[str, Any]) -> Model:
        """The model itself, which was converted with these constants."""
        if not description(self.path):
            raise GraphError(f"feeds={dict(feeds)}: only of a frozen graph, not of {self.path}")
        return self

    def input_spec(self, input: str) -> TensorSpec:
        """What the input takes."""
        return self.inputs[input]


class Step:
    """A compiled model; `run` takes a batch that fits and returns the outputs."""

    def __init__(self, spec: TensorSpec, run: Callable[[Array], list[Array]], runtime: str) -> None:
        self.input_dtype: str = spec.input_dtype
        self.input_shape: Shape | None = spec.input_shape
        self._run: Callable[[Array], list[Array]] | None = run
        self._runtime = runtime

    def __call__(self, batch: Array) -> list[Array]:
        """The outputs for this batch, in the order that they were asked for."""
        if self._run is None:
            raise RequestError("this step is closed")
        shape = self.input_shape or batch.shape
        if not fits(shape, batch.shape) or batch.dtype.name != self.input_dtype:
            raise RequestError(
                f"batch: the model takes {self.input_dtype} {show_shape(shape)}, not "
                f"{batch.dtype.name} {show_shape(batch.shape)}"
            )
        try:
            return self._run(batch)
        except Exception as error:  # noqa: BLE001 - the runtimes raise plain RuntimeErrors and more
            raise GraphError(f"{self._runtime} can't run the model: {reason(error)}") from None

    def close(self) -> None:
        """Give back the memory."""
        self._run = None


def compiled(model: Model, step: Step, card: Mapping[str, Any], notes: Sequence[str]) -> Compiled:
    """The step with its card, which also has what is written beside the model's file."""
    said = description(model.path)
    found = {**card, "notes": [*said.get("notes", ()), *notes]}
    if "agreement" in said:
        found["agreement"] = said["agreement"]
    return Compiled(step=step, card=found)


def thread_counts(placement: Placement) -> dict[str, int]:
    """The threads as `Backend.set_threads` tells them, of a runtime that sets them by model."""
    inter, intra = placement.inter_threads, placement.intra_threads
    return {
        "inter_threads": inter,
        "intra_threads": intra,
        "inter_found": 1,
        "intra_found": intra,
    }


def thread_notes(placement: Placement, runtime: str) -> list[str]:
    """What to say of an inter-op pool that somebody asked for."""
    asked = placement.why.get("inter_threads", "").startswith("argument")
    if not asked or placement.inter_threads == 1:
        return []
    return [
        f"num_inter_threads={placement.inter_threads}: has no effect, {runtime} runs one operation "
        "at a time"
    ]


@contextlib.contextmanager
def failures(what: str) -> Iterator[None]:
    """Raise what goes wrong in the block as a `GraphError` that begins with `what`.

    The runtimes and their converters raise plain RuntimeErrors and others, without a common class.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        raise GraphError(f"{what}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """What an error says, on one line, without places in source code and links."""
    lines = (line.strip() for line in str(error).splitlines())
    kept = [line for line in lines if line and "://" not in line and not line.startswith("Check ")]
    return " ".join(kept)[:400] or type(error).__name__
