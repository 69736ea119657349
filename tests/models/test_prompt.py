"""Task names, rows of the prompt table, and how a prompt enters a feature map."""

import pytest
import torch

from models.prompt import TaskPrompt

NAMES = ("erase", "find", "mark", "read")


@pytest.fixture
def prompt() -> TaskPrompt:
    torch.manual_seed(0)
    return TaskPrompt(NAMES, dim=5)


@pytest.mark.parametrize(
    ("tasks", "rows"),
    [
        (["mark", "erase"], [2, 0]),
        (("read",), [3]),
        ([("find", "read"), ("read", "erase")], [[1, 3], [3, 0]]),
        ([("find",), ["mark"]], [[1], [2]]),
        ([("find",), "mark"], [[1], [2]]),
        (torch.tensor([3, 1]), [3, 1]),
    ],
)
def test_rows_of_names(prompt, tasks, rows):
    found = prompt.rows(tasks, len(tasks))
    assert found.dtype == torch.int64
    assert found.tolist() == rows


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["erase", "paint"], "trained on erase, find, mark, read; not on paint"),
        ([("erase", "paint"), ("find", "mark")], "not on paint"),
        ("erase", "the string 'erase', expected a list"),
        (["erase"], "1 tasks for a batch of 2"),
        ([("erase",), ("erase", "find")], "different numbers of tasks"),
        (["erase", ("erase", "find")], "different numbers of tasks"),
        (torch.tensor([0.0, 1.0]), "expected int64"),
        (torch.zeros(2, 1, 1, dtype=torch.int64), "expected int64"),
    ],
)
def test_bad_tasks_are_named(prompt, tasks, message):
    with pytest.raises(ValueError, match=message):
        prompt.rows(tasks, 2)


@pytest.mark.parametrize("row", [4, -1])
def test_rows_that_do_not_exist_are_named(prompt, row):
    with pytest.raises(ValueError, match="rows 0 to 3"):
        prompt(torch.zeros(1, 2, 2, 5), torch.tensor([row]))


@torch.no_grad()
def test_a_prompt_is_added_at_every_position(prompt):
    features = torch.rand(2, 3, 4, 5)
    found = prompt(features, torch.tensor([[1, 0], [3, 3]]))
    table = prompt.task_embedding.weight
    assert found.shape == (4, 3, 4, 5)
    for index, (image, row) in enumerate(((0, 1), (0, 0), (1, 3), (1, 3))):
        assert torch.equal(found[index], features[image] + table[row])
    assert torch.equal(prompt(features, torch.tensor([0, 3])), found[[1, 3]])


def test_silent_prompts_say_nothing_and_do_not_train(prompt):
    prompt.silence()
    features = torch.rand(1, 2, 2, 5)
    assert torch.equal(prompt(features, torch.tensor([2])), features)
    assert not prompt.task_embedding.weight.requires_grad
