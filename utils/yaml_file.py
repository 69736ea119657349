"""Reading YAML files of plain words, numbers, lists and mappings."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from utils.files import read_text
from utils.quote import quote

MAX_BYTES = 2**18  # the parser takes seconds for more
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """Refuses what makes a small file large or slow, and keys that would replace each other."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            name = quote(self.peek_event().anchor)
            raise ValueError(f"repeats {name} by an alias, write it out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            [(twice, _)] = Counter(key.value for key, _ in node.value).most_common(1)
            raise ValueError(f"the key {quote(twice)} appears twice")
        return mapping


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; ValueError that names it for one that is missing or not plain."""
    text = read_text(path, MAX_BYTES)
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not a YAML file ({_reason(error)})") from None
    except RecursionError:
        raise ValueError(f"{path}: not a YAML file (nested too deep)") from None
    except ValueError as error:  # ours, or a date or number that does not exist
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    except Exception as error:  # an explicit type such as `!!bool maybe` raises anything
        raise ValueError(f"{path}: not a YAML file ({quote(error)})") from None


def _reason(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return quote(str(error))
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
