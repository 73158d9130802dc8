"""What the README shows, runs."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.M | re.S)


@pytest.mark.parametrize("index", range(len(PYTHON_BLOCKS)))
def test_python_block(index):
    names = {}
    exec(compile(PYTHON_BLOCKS[index], f"README.md, block {index}", "exec"), names)
    if "accuracy" in names:
        assert names["accuracy"] > 0.95


def test_there_is_a_training_loop():
    assert any("optimizer.step()" in block for block in PYTHON_BLOCKS)


def test_commands_are_one_line_each():
    """Each of the two commands of the first page is one line that installs and runs."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.M | re.S)
    train, test = blocks[:2]
    assert train.count("\n") == test.count("\n") == 1
    assert "fastnn train lenet5" in train
    assert "pytest" in test


def test_nothing_is_left_to_fill_in():
    assert not re.search(r"@[A-Z]+@|TODO|TBD", README)
