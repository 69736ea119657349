"""Requirements: lower bounds that are tested, no upper ones, and a lock file that meets them."""

import re
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from small_run import ROOT

# Types of these are all that is used, or the release does not matter.
WITHOUT_BOUND = {"types-pyyaml", "types-tqdm"}


def requirements(*names: str) -> dict[str, Requirement]:
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and line[0] not in "-#"]
    return {canonicalize_name(each.name): each for each in found}


def bounds_of_the_package() -> dict[str, Requirement]:
    text = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[0]
    found = map(Requirement, re.findall(r'"([a-z][a-z-]*>=[0-9.]+)"', text))
    return {canonicalize_name(each.name): each for each in found if each.name != "setuptools"}


DIRECT = requirements("requirements.txt", "requirements-dev.txt")
LOCKED = requirements("requirements.lock")


def test_every_requirement_has_a_lower_bound_and_no_other():
    for name, each in DIRECT.items():
        operators = [part.operator for part in each.specifier]
        assert operators == ([] if name in WITHOUT_BOUND else [">="]), name


def test_the_package_and_the_clone_have_the_same_bounds():
    package = bounds_of_the_package()
    assert {"numpy", "pillow", "onnxruntime", "torch", "fastapi"} <= set(package)
    shared = package.keys() & DIRECT.keys()
    assert {name: str(package[name]) for name in shared} == {
        name: str(DIRECT[name]) for name in shared
    }


def test_the_lock_file_meets_every_requirement_with_one_version():
    for name, each in LOCKED.items():
        assert [part.operator for part in each.specifier] == ["=="], name
    for name, each in DIRECT.items():
        [locked] = LOCKED[name].specifier
        assert each.specifier.contains(locked.version), name


def test_the_lock_file_is_complete():
    """Whatever a locked package needs on this machine is locked, too."""
    for name in LOCKED:
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        [locked] = LOCKED[name].specifier
        if metadata.version(name) != locked.version:  # another environment than the tested one
            continue
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                found = LOCKED.get(canonicalize_name(requirement.name))
                assert found or requirement.name == "setuptools", (name, str(requirement))


def test_the_lowest_python_is_the_oldest_that_the_package_names():
    text = (ROOT / "pyproject.toml").read_text()
    lowest = re.search(r'requires-python = ">=([0-9.]+)"', text)
    assert lowest
    assert Version(lowest[1]) <= Version(".".join(map(str, sys.version_info[:2])))
    assert f'target-version = "py{lowest[1].replace(".", "")}"' in text
