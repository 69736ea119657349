"""Registries."""

import pytest

from upocr.registry import Registry


@pytest.fixture
def registry() -> Registry[int]:
    found: Registry[int] = Registry("animal")
    found.register("cat")(1)
    found.register("dog")(2)
    return found


def test_entries_are_found_by_name_in_order(registry):
    assert registry["dog"] == 2
    assert list(registry) == ["cat", "dog"]


def test_register_is_a_decorator():
    registry: Registry[type] = Registry("class")

    @registry.register("a")
    class A:
        pass

    assert registry["a"] is A


def test_an_unknown_name_lists_the_choices(registry):
    with pytest.raises(ValueError, match="unknown animal 'cow', expected one of cat, dog"):
        registry["cow"]
    assert "cow" not in registry


def test_a_name_is_given_once(registry):
    with pytest.raises(ValueError, match="the animal 'cat' is registered twice"):
        registry.register("cat")(3)
    assert registry["cat"] == 1
