"""Unknown names: the closest valid one is suggested, and all are listed."""

import pytest

from fastnn.names import suggest

NAMES = ["mlp", "lenet5", "vgg16-bn"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lenet6", "did you mean 'lenet5'? "),
        ("LeNet5", "did you mean 'lenet5'? "),
        ("vgg16_bn", "did you mean 'vgg16-bn'? "),
        ("resnet", ""),
        ("", ""),
        (None, ""),
        (["mlp"], ""),
    ],
)
def test_suggestion(name, hint):
    expected = f"unknown model {name!r}; {hint}valid: mlp, lenet5, vgg16-bn"
    assert suggest("model", name, iter(NAMES)) == expected


def test_nothing_to_choose_from():
    assert suggest("model", "x", []) == "unknown model 'x'; valid: "
