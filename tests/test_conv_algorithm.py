"""Which way a convolution is computed: what can be asked for, and what is chosen."""

import numpy as np
import pytest

import fastnn


def test_is_auto_unless_asked():
    assert fastnn.get_conv_algorithm() == "auto"


def test_a_block_puts_back_what_was_set():
    with fastnn.conv_algorithm("im2col"):
        assert fastnn.get_conv_algorithm() == "im2col"
        with fastnn.conv_algorithm("auto"):
            assert fastnn.get_conv_algorithm() == "auto"
        assert fastnn.get_conv_algorithm() == "im2col"
    assert fastnn.get_conv_algorithm() == "auto"


def test_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), fastnn.conv_algorithm("im2col"):
        raise ZeroDivisionError
    assert fastnn.get_conv_algorithm() == "auto"


def test_a_call_alone_sets_it():
    try:
        fastnn.conv_algorithm("im2col")
        assert fastnn.get_conv_algorithm() == "im2col"
    finally:
        fastnn.conv_algorithm("auto")


@pytest.mark.parametrize(
    ("name", "error"),
    [("winograd", ValueError), ("", ValueError), (None, TypeError), (1, TypeError)],
)
def test_refuses_other_names(name, error):
    with pytest.raises(error, match="conv_algorithm: name must be"):
        fastnn.conv_algorithm(name)
    assert fastnn.get_conv_algorithm() == "auto"


def test_im2col_is_what_is_chosen_where_it_is_asked_for():
    with fastnn.conv_algorithm("im2col"):
        chosen = fastnn.get_conv2d_algorithms((1, 8, 8, 64), (64, 3, 3, 64), padding=1)
    assert chosen == dict.fromkeys(("forward", "backward_input", "backward_weight"), "im2col")


@pytest.mark.parametrize("batch", [0, 1, 100])
def test_the_choice_does_not_depend_on_the_batch(batch):
    def choose(N):
        return fastnn.get_conv2d_algorithms((N, 8, 8, 64), (64, 3, 3, 64), padding=1)

    assert choose(batch) == choose(7)


def test_refuses_what_conv2d_refuses():
    with pytest.raises(TypeError, match="float32 or float64"):
        fastnn.get_conv2d_algorithms((1, 8, 8, 4), (4, 3, 3, 4), dtype=np.int32)
    with pytest.raises(ValueError, match="4 input channels, x has 3"):
        fastnn.get_conv2d_algorithms((1, 8, 8, 3), (4, 3, 3, 4))
    with pytest.raises(ValueError, match="does not fit"):
        fastnn.get_conv2d_algorithms((1, 2, 8, 4), (4, 3, 3, 4))
