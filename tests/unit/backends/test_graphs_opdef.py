from __future__ import annotations

from graphs_made import graph_of, int8_residual, node

from modelzoo_runner.backends.tensorflow import opdef


def test_an_operation_is_found_in_the_registry_or_the_library() -> None:
    graph_def = graph_of()
    graph_def.library.function.add().signature.name = "mine"
    assert opdef.find("Relu").name == "Relu"
    assert opdef.find("mine", graph_def).name == "mine"
    assert opdef.find("mine") is None


def test_an_attribute_has_the_operations_default() -> None:
    made = node("a", "FusedBatchNormV3")
    assert opdef.attribute(made, "is_training").b is True
    made.attr["is_training"].b = False
    assert opdef.attribute(made, "is_training").b is False
    assert opdef.attribute(made, "T") is None
    assert opdef.attribute(node("a", "Unknown"), "T") is None


def test_outputs_are_counted_with_lists() -> None:
    split = node("a", "Split")
    split.attr["num_split"].i = 3
    assert opdef.output_count(split, opdef.find("Split")) == 3
    assert opdef.output_count(node("a", "FusedBatchNormV3"), opdef.find("FusedBatchNormV3")) == 6
    identity = node("a", "IdentityN")
    identity.attr["T"].list.type.extend([1, 1])
    assert opdef.output_count(identity, opdef.find("IdentityN")) == 2


def test_inputs_are_found_by_name_behind_lists() -> None:
    concat = node("a", "ConcatV2", "x", "y", "axis")
    concat.attr["N"].i = 2
    op_def = opdef.find("ConcatV2")
    assert opdef.input_named(concat, op_def, "axis") == "axis"
    assert opdef.input_named(concat, op_def, "values") == "x"
    assert opdef.input_named(concat, op_def, "nothing") is None
    concat.attr["N"].i = 9
    assert opdef.input_named(concat, op_def, "axis") is None


def test_the_summand_of_a_quantised_convolution_is_found() -> None:
    made = {each.name: each for each in int8_residual().node}["sum"]
    assert opdef.input_named(made, opdef.find(made.op), "summand") == "first"


def test_types_are_named() -> None:
    assert opdef.type_names([1]) == "float32"
    assert opdef.type_names([11, 12]) == "qint8 and quint8"
