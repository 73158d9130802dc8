"""What every test file shares: the hypothesis profiles and a few fixtures."""

import os
import re

import numpy as np
import pytest
from hypothesis import settings

import fastnn
from cli_runner import SHORT, run

# Plain asserts in the tests' own modules explain themselves as those in test files do.
pytest.register_assert_rewrite("arrays", "bad_calls", "bits", "calls")

# The same examples on every run, so that a red run can be repeated; HYPOTHESIS_PROFILE=search looks
# for new ones. No deadline: shared machines stall for longer than any call takes.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def restore_num_threads():
    """Undo what the test does with set_num_threads."""
    before = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(before)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory and the output of one short run of ``fastnn train``."""
    out = tmp_path_factory.mktemp("run") / "new" / "out"
    result = run("train", "mlp", *SHORT, "--seed", 3, "--out", out)
    assert result.returncode == 0, result.stderr
    return out, result


@pytest.fixture
def assert_refused(capsys, monkeypatch, tmp_path):
    """Check that a command ends with status 2, one line on stderr, and nothing on stdout.

    It runs in this process, where a traceback would be the test's.
    """
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def check(*arguments, match):
        try:
            from fastnn.cli import main

            status = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
        assert status == 2
        stdout, stderr = capsys.readouterr()
        assert stdout == ""
        assert re.fullmatch(rf"fastnn: error: [^\n]*{match}[^\n]*\n", stderr), stderr

    return check
