"""What the TensorRT plugin takes; needs no TensorRT."""

import pytest

from redvillm.errors import OptionsError
from redvillm.kernels.tensorrt_journal import PluginJournal
from redvillm.kernels.tensorrt_rules import check_sizes, check_types, takes_format


@pytest.mark.parametrize(("types", "output"), [(["FLOAT"], "FLOAT"), (["HALF"], "HALF"), (["FLOAT", "FLOAT"], "FLOAT"), (["HALF", "FLOAT"], "HALF")])
def test_outputs_have_the_type_of_the_features(types, output):
    assert check_types(types) == output


@pytest.mark.parametrize("types", [[], ["INT8"], ["BF16"], ["INT32", "FLOAT"], ["HALF", "HALF"], ["FLOAT", "INT32"], ["FLOAT"] * 3])
def test_other_types_are_refused(types):
    with pytest.raises(OptionsError, match="redvillm::SpatioTemporalPool"):
        check_types(types)


@pytest.mark.parametrize(
    "inputs", [[(1, 1, 1)], [(None, 49, 1280)], [(None, None, None)], [(5, 7, 3), (5,)], [(None, 7, 3), (None,)], [(5, 7, 3), (None,)]]
)
def test_legal_sizes_are_taken(inputs):
    check_sizes(inputs)


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [()],
        [(7, 3)],
        [(1, 5, 7, 3)],
        [(0, 7, 3)],
        [(5, 0, 3)],
        [(5, 7, 0)],
        [(None, 0, 3)],
        [(5, 7, 3), (7,)],
        [(5, 7, 3), ()],
        [(5, 7, 3), (5, 1)],
        [(None, 7, 3), (None, 1)],
        [(5, 7, 3), (5,), (5,)],
    ],
)
def test_other_sizes_are_refused(inputs):
    with pytest.raises(OptionsError, match="redvillm::SpatioTemporalPool"):
        check_sizes(inputs)


@pytest.mark.parametrize("element", ["FLOAT", "HALF"])
@pytest.mark.parametrize("weighted", [False, True])
def test_formats_are_linear_and_outputs_like_the_features(element, weighted):
    types = [element, *["FLOAT"] * weighted, element, element]
    num_inputs = 1 + weighted
    for position in range(len(types)):
        assert takes_format(position, types, num_inputs, linear=True)
        assert not takes_format(position, types, num_inputs, linear=False)
        for other in {"FLOAT", "HALF", "INT8", "BF16"} - {types[position]}:
            taken = takes_format(position, [*types[:position], other], num_inputs, linear=True)
            assert taken == (position == 0 and other in ("FLOAT", "HALF"))


def test_a_journal_keeps_calls_and_words():
    journal = PluginJournal()
    for _ in range(2):
        with pytest.raises(OptionsError), journal.call("get_output_shapes"):
            check_sizes([(7, 3)])
    with journal.call("clone"):
        pass
    journal.add_layer("pool")
    assert journal.calls == {"clone": 1, "get_output_shapes": 2}
    assert len(journal.refusals) == 1
    assert "[7, 3]" in journal.refusals[0]
    assert journal.layers == ("pool",)
