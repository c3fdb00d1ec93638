"""A graph as a function that runs one step.

The step is called through a handle that TensorFlow prepares once, the one that Keras was built on
(`Session._make_callable_from_options`). By `benchmarks/step.py`, at batch 1, a graph that does
nothing takes a fifth of the time that `Session.run` takes, with one inter-op thread less than a
tenth (`IN_ORDER`), and MobileNet v1 0.25 takes 0.87 of it; neither the batch nor the outputs are
copied where the batch is aligned to 64 bytes. Preparing the handle includes TensorFlow's own
optimization of the graph: its time is in `open_step`, not in the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.base import ENCODED, Shape, TensorSpec, show_shape
from modelzoo_runner.backends.tensorflow import thread_pools
from modelzoo_runner.backends.tensorflow.failures import explain_error, first_line
from modelzoo_runner.backends.tensorflow.structure import CONTROL_FLOW, source
from modelzoo_runner.errors import GraphError, RequestError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.config_pb2 import ConfigProto

    Array: TypeAlias = np.ndarray[Any, Any]


DONE_BEFORE = (
    "arithmetic_optimization",
    "common_subgraph_elimination",
    "constant_folding",
    "debug_stripper",
    "dependency_optimization",
    "function_optimization",
    "implementation_selector",
    "layout_optimizer",
    "loop_optimization",
    "pin_to_host_optimization",
    "scoped_allocator_optimization",
    "shape_optimization",
)
"""TensorFlow's optimizers that find nothing to do in a prepared graph, and take most of the time in
which a session is opened: the steps of all nine models take as long without them, and the outputs
are the same."""

IN_ORDER = "SINGLE_THREADED_EXECUTOR"
"""TensorFlow's executor that has no queue of operations that are ready, and fetches constants once:
at batch 1, ResNet-50 takes 0.97 to 0.98 of the time in int8 and 0.99 to 1.00 in fp32, MobileNet v1
0.95 to 0.98; the outputs are the same. It runs no loops and branches, and names no node that
fails."""


class Step:
    """Runs a graph once for each call: a batch in, a list of arrays out.

    Made by `open_step`; a context manager. Not safe to close while a call is under way.

    Attributes:
        input_dtype: the name of the numpy type that a batch has to have, as `float32`.
        input_shape: the shape that it has to have, `None` for a size that is free; `None` for all
            of it where the graph leaves even the rank open.
    """

    def __init__(self, graph: tf.Graph, config: ConfigProto, input: str, outputs: Sequence[str]):
        """See `open_step`."""
        import tensorflow as tf
        from tensorflow.core.protobuf.config_pb2 import CallableOptions

        # With the outputs: a name that isn't there raises here, before a session is made.
        fed, *_ = map(graph.get_tensor_by_name, (input, *outputs))
        spec = _spec(fed)
        self._takes_one = fed.shape.rank == 0
        self.input_dtype = spec.input_dtype
        self.input_shape = spec.input_shape
        self._config = config
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        self._failures: type[tf.errors.OpError] = tf.errors.OpError
        self._fed_and_fetched = input, list(outputs)
        options = CallableOptions(feed=[input], fetch=list(outputs))
        self._run: Callable[[Array], list[Array]] | None = None
        try:
            self._run = self._session._make_callable_from_options(options)
        except self._failures as error:
            self.close()
            raise explain_error(error) from None

    def __call__(self, batch: Array) -> list[Array]:
        """The outputs for this batch, in the order they were asked for.

        Raises:
            RequestError: the batch isn't what the graph takes, or is too large for the memory.
            GraphError: TensorFlow can't run the graph.
        """
        run = self._run
        if run is None:
            raise RequestError("this step is closed: open another one with open_step")
        self._check(batch)
        try:
            return run(batch.reshape(()) if self._takes_one else batch)
        except self._failures as error:
            raise explain_error(self._with_its_node(error, batch), batch.shape) from None

    def close(self) -> None:
        """Free the session's memory. A closed step can't be called."""
        # The handle gives itself back to the session, so it has to go first.
        self._run = None
        self._session.close()

    def __enter__(self) -> Step:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_its_node(self, error: tf.errors.OpError, batch: Array) -> tf.errors.OpError:
        """The failure with the name of the node that failed, if another run shows it."""
        import tensorflow as tf
        from tensorflow.core.protobuf.config_pb2 import ConfigProto

        is_short = isinstance(error, tf.errors.ResourceExhaustedError)
        if is_short or self._config.experimental.executor_type != IN_ORDER:
            return error
        config = ConfigProto()
        config.CopyFrom(self._config)
        config.experimental.executor_type = ""
        input, outputs = self._fed_and_fetched
        with tf.compat.v1.Session(graph=self._session.graph, config=config) as session:
            try:
                session.run(outputs, {input: batch})
            except tf.errors.OpError as named:
                return named
        return error

    def _check(self, batch: Array) -> None:
        dtype = getattr(batch, "dtype", None)
        if dtype is None or dtype.name != self.input_dtype:
            found = type(batch).__name__ if dtype is None else f"an array of {dtype.name}"
            takes = "bytes (dtype object)" if self.input_dtype == ENCODED else self.input_dtype
            raise RequestError(f"batch: the graph takes an array of {takes}, not {found}")
        expected = self.input_shape
        if expected is None:
            return
        fits = len(batch.shape) == len(expected) and all(
            size is None or size == given for size, given in zip(expected, batch.shape, strict=True)
        )
        if not fits:
            raise RequestError(
                f"batch: the graph takes the shape {show_shape(expected)}, not "
                f"{show_shape(batch.shape)}{_hint(expected, batch.shape)}"
            )


def open_step(
    graph: GraphDef | tf.Graph,
    *,
    input: str,
    outputs: Sequence[str],
    inter_threads: int = 0,
    intra_threads: int = 0,
    rewrite: bool = True,
    prepared: bool = False,
) -> Step:
    """A function that runs the graph: `step(batch)` returns the arrays of `outputs`, in order.

    Tensors are named `node:number`. Threads are TensorFlow's inter-op and intra-op pools, 0 leaving
    the choice to it; the first session of a process decides the intra-op pool for all later ones.
    With one inter-op thread, operations run in an order that is fixed beforehand.
    Without `rewrite`, TensorFlow runs the graph as it is: it opens sooner, in half the memory. Of a
    graph that `prepare` made, TensorFlow only fuses what its kernels do in one.

    Raises:
        RequestError: an argument isn't possible, or a session in this process isn't.
        GraphError: TensorFlow doesn't take the graph, or a tensor isn't there.
    """
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

    if thread_pools.lost_in_fork():
        raise RequestError(
            "this process was forked from one that had TensorFlow's threads, and has none, so a "
            "session would wait for them forever: start it as a fresh process (multiprocessing's "
            '"spawn" or "forkserver")'
        )
    config = ConfigProto(
        inter_op_parallelism_threads=inter_threads,
        intra_op_parallelism_threads=intra_threads,
        device_count={"GPU": 0},
        allow_soft_placement=True,
    )
    rewriting = config.graph_options.rewrite_options
    if prepared:
        for each in DONE_BEFORE:
            setattr(rewriting, each, RewriterConfig.OFF)
        rewriting.memory_optimization = RewriterConfig.NO_MEM_OPT
        rewriting.meta_optimizer_iterations = RewriterConfig.ONE
    rewriting.disable_meta_optimizer = not rewrite
    if inter_threads == 1 and rewrite and isinstance(graph, GraphDef) and _can_be_in_order(graph):
        config.experimental.executor_type = IN_ORDER
    try:
        built = graph if isinstance(graph, tf.Graph) else imported(graph)
        built.finalize()
        return Step(built, config, input, outputs)
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, RequestError):
            raise
        raise GraphError(f"TensorFlow doesn't take the graph: {first_line(error)}") from None


def _can_be_in_order(graph_def: GraphDef) -> bool:
    """Whether the graph has no loops and branches, nor functions, which may have them."""
    return not graph_def.library.function and not any(
        node.op in CONTROL_FLOW for node in graph_def.node
    )


def imported(graph_def: GraphDef) -> tf.Graph:
    """The graph as TensorFlow's own object."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    return graph


def input_spec(graph_def: GraphDef, input: str) -> TensorSpec:
    """What a tensor of a graph takes, without opening a session."""
    return _spec(_tensor(graph_def, input))


def dtype_and_shape(graph_def: GraphDef, name: str) -> tuple[tf.DType, tf.TensorShape]:
    """A tensor's type and shape, as TensorFlow has them."""
    tensor = _tensor(graph_def, name)
    return tensor.dtype, tensor.shape


def _tensor(graph_def: GraphDef, name: str) -> tf.Tensor:
    (node,) = (node for node in graph_def.node if node.name == source(name))
    if not node.input:
        # A placeholder says by itself; importing the graph would take three times its memory.
        graph_def = type(graph_def)(node=[node], versions=graph_def.versions)
        graph_def.node[0].attr.pop("_class", None)  # beside which node it is to be placed
    return imported(graph_def).get_tensor_by_name(name)


def _spec(tensor: tf.Tensor) -> TensorSpec:
    if tensor.dtype.name == "string":
        # One image that isn't in a batch is taken as a batch of one.
        return TensorSpec(input_dtype=ENCODED, input_shape=_shape(tensor) or (1,))
    if not isinstance(tensor.dtype.as_numpy_dtype, type):
        raise GraphError(f"{tensor.name}: is of type {tensor.dtype.name}, which can't be fed")
    dtype: str = tensor.dtype.as_numpy_dtype().dtype.name
    return TensorSpec(input_dtype=dtype, input_shape=_shape(tensor))


def _shape(tensor: tf.Tensor) -> Shape | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def _hint(expected: Shape, given: Sequence[int]) -> str:
    if len(given) == len(expected) - 1:
        return ". The first dimension is the batch: a single example is batch[None]"
    if tuple(given[1:]) == tuple(expected[1:]):
        return f". This graph is made for a batch size of {expected[0]}"
    return ""
