"""bench/reproduce.py: a row for a few steps on the embedded digits, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest

import fastnn

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def reproduce(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import reproduce

    with fastnn.threads(1):  # PyTorch takes as many; on a busy machine those of both only spin
        yield reproduce


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield torch
    torch.set_num_threads(before)


def test_a_row_on_the_embedded_digits(reproduce, tmp_path, capsys):
    """Two seeds are two trainings, and each is written when it ends."""
    file = tmp_path / "rows.json"
    arguments = ["--rows", "lenet5-10s", "--data", "digits", "--steps", "30", "--seeds", "2"]
    status = reproduce.main([*arguments, "--json", str(file)])
    (entry,) = json.loads(file.read_text())
    head, line = capsys.readouterr().out.splitlines()
    assert head == "row | published | ours | seconds"
    network, published, ours, seconds = line.split(" | ")
    assert (network, published) == (entry["network"], entry["published"])
    assert ours.startswith(f"{entry['error']:.2f} % error (")
    assert float(seconds) == pytest.approx(entry["seconds"], abs=0.051)
    assert [run["seed"] for run in entry["runs"]] == [0, 1]
    assert entry["accuracy"] == pytest.approx(np.mean([r["accuracy"] for r in entry["runs"]]))
    assert entry["accuracy"] > 50  # chance is 10
    assert status == (0 if entry["reached"] else 1)


def test_a_seed_fixes_every_bit(reproduce):
    row = next(row for row in reproduce.ROWS if row.name == "lenet5-distorted")
    dataset = reproduce.load("digits", None, row.pixels)
    models = []

    def kept(**options):
        models.append(row.model(**options))
        return models[-1]

    with_model = row._replace(model=kept)
    for seed in (3, 3, 4):
        reproduce.train(with_model, dataset, seed, limit=2)
    first, again, other = (model.state_dict() for model in models)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_steps_end_a_training(reproduce):
    """Caffe's schedule has been stepped as often as its solver says."""
    row = next(row for row in reproduce.ROWS if row.name == "lenet-caffe")
    dataset = reproduce.load("digits", None, row.pixels)
    assert dataset.train.x.min() == 0
    np.testing.assert_array_max_ulp(dataset.train.x.max(), np.float32(255 / 256))
    schedules = []

    def kept(optimizer, steps):
        schedules.append(row.schedule(optimizer, steps))
        return schedules[-1]

    reproduce.train(row._replace(schedule=kept, steps=3), dataset, 0)
    (schedule,) = schedules
    rate = (1 + 3e-4) ** -0.75
    assert schedule.get_last_lr() == pytest.approx([0.01 * rate, 0.02 * rate])


def test_the_held_out_images_are_of_the_training_images(reproduce):
    x = np.arange(6000, dtype=np.float32)
    split, test = fastnn.data.Split(x, x.astype(np.int64)), fastnn.data.Split(x[:1], x[:1])
    train, held_out = reproduce.hold_out(fastnn.data.Dataset(split, test))
    assert np.array_equal(np.concatenate([train.x, held_out.x]), x)
    assert len(held_out.y) == 5000


def test_vgg_takes_turns_with_pytorch(reproduce, torch, rng):
    import reproduce_vgg

    x = rng.standard_normal((8, 32, 32, 3), dtype=np.float32)
    split = fastnn.data.Split(x, rng.integers(0, 10, 8))
    entry = reproduce_vgg.compare(fastnn.data.Dataset(split, split), 0, 0.05)
    assert entry["floor"] % 12.5 == entry["accuracy"] % 12.5 == 0
    assert entry["reached"] == (entry["accuracy"] > entry["floor"])
    assert entry["seconds"] >= 0.05
    assert "PyTorch" in reproduce.line(entry)


def test_both_vggs_are_the_same_network(reproduce, torch, rng):
    import reproduce_vgg

    model = reproduce_vgg.make_model(1)
    assert model.num_parameters() == 579_786
    x = rng.standard_normal((3, 32, 32, 3), dtype=np.float32)
    peer = reproduce_vgg.torch_network(torch, model).eval()
    with torch.no_grad():
        theirs = peer(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    # far above rounding, far below what another layer or weight would do
    np.testing.assert_allclose(model(x), theirs.numpy(), atol=1e-3)
