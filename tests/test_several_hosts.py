"""Training on several hosts, which are network namespaces of this machine."""

import pytest
from soak.hosts import come_back, stay_away, train_on_hosts, unavailable

SHORT = ["--epochs", "2", "--iter_per_epoch", "3", "--save_steps", "2", "--num_workers", "0"]


@pytest.fixture(scope="module", autouse=True)
def _hosts():
    if reason := unavailable():
        pytest.skip(reason)


@pytest.mark.slow
def test_three_hosts_train_the_weights_of_one(tmp_path):
    assert train_on_hosts(3, tmp_path, SHORT) is None


@pytest.mark.long
def test_the_second_of_two_hosts_dies_and_comes_back_to_the_bits_of_one(tmp_path):
    assert come_back(tmp_path, 3, SHORT) is None


@pytest.mark.slow
@pytest.mark.parametrize("is_unplugged", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_host_that_stays_away_ends_the_run_with_one_line(tmp_path, is_unplugged):
    assert stay_away(tmp_path, is_unplugged, SHORT) is None
