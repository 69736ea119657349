"""Text files that attack their reader: every entry is the content of a file."""

from typing import Any

DEEP = 100_000
BEYOND_INT32 = 2**40
ESCAPE = "\x1b[2J\x1b]0;owned\x07"  # clears the terminal and renames its window

_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{earlier}'] * 9)}]\n"
    for earlier, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
_MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{earlier}'] * 9)}]}}\n"
    for earlier, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)

# Not the content of any configuration.
YAML: dict[str, str] = {
    "a bomb of aliases": _BOMB,
    "a bomb of merged keys": _MERGES,
    "a list that holds itself": "a: &a [*a]",
    "deep lists": "[" * DEEP,
    "deep mappings": "{a: " * DEEP,
    "deep blocks": "- " * DEEP,
    "a date that does not exist": "run: 2024-99-99",
    "a time that does not exist": "run: 2024-01-01 99:99:99",
    "an unknown type": "run: !!python/object/apply:os.system [id]",
    "no truth value": "run: !!bool maybe",
    "no number": "run: !!int abc",
    "no date": "run: !!timestamp abc",
    "no text": "run: !!binary 1",
    "a number of a million digits": f"run: {'9' * 10**6}",
    "sixty thousand keys": "\n".join(f"k{n}: 1" for n in range(60_000)),
    "many keys, two of them equal": "\n".join([*(f"k{n}: 1" for n in range(15_000)), "k14999: 2"]),
    "a list as a key": "? [a, b]\n: 1",
    "an unclosed quotation": 'run: "' + "x" * 10**5,
    "two documents": "a: 1\n---\nb: 2",
    "a tab": "run:\n\tdevice: cpu",
    "a null character": "run: a\0b",
    "commands to the terminal": f'run: "{ESCAPE}"',
    "a million characters": "run: " + "x" * 10**6,
    "nothing": "",
    "one word": "word",
}

JSON: dict[str, str] = {
    "deep lists": "[" * DEEP + "]" * DEEP,
    "deep mappings": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a number of a million digits": "9" * 10**6,
    "half of a file": '[{"input": "a.png"',
    "not UTF-8": "\udcff",
    "a word": '"word"',
    "null": "null",
    "a byte order mark alone": "\ufeff",
    "nothing": "",
}

# What a key of a JSON file may hold in place of its value.
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "word",
    ESCAPE,
    "\0",
    "../../../etc/passwd",
    [],
    [None],
    [[[[]]]],
    {},
    {"word": {"word": None}},
]

POLYGONS: dict[str, str] = {
    "beyond int32": f"0,0,{BEYOND_INT32},0,{BEYOND_INT32},9,0,9",
    "far below zero": f"-{BEYOND_INT32},0,9,0,9,9,0,9",
    "400 digits": f"{'9' * 400},0,9,0,9,9,0,9",
    "two vertices": "0,0,9,9",
    "an exponent": "1e9,0,9,0,9,9,0,9",
    "words": "left,top,right",
}

BOXES: dict[str, str] = {
    "5,000 digits": f"{'9' * 5000},0,9,9,1",
    "an exponent": "1e9,0,9,9,1",
    "four numbers": "0,0,9,9",
    "a fourth class": "0,0,9,9,3",
    "commands to the terminal": f"0,0,9,9,{ESCAPE}",
}


def with_value(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of lists and dictionaries with another value at `path`."""
    if not path:
        return value
    copy = content.copy()
    copy[path[0]] = with_value(content[path[0]], path[1:], value)
    return copy


def paths(content: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Path of every value in lists and dictionaries, the whole included."""
    found = [prefix]
    if isinstance(content, dict | list):
        entries = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in entries:
            found += paths(value, (*prefix, key))
    return found
