"""Journals: nothing that was appended is lost, and their lock tells who lives."""

import os

import pytest

from upocr.journal import END, PID, Journal, Reader
from upocr.lock import is_held


def test_lines_are_read_while_the_journal_grows(tmp_path):
    path = tmp_path / "new" / "0.jsonl"
    reader = Reader(path)
    assert list(reader.entries()) == []
    with Journal(path) as journal:
        assert [entry[PID] for entry in reader.entries()] == [os.getpid()]
        journal.append({"number": 1})
        journal.append({"name": os.fsdecode(b"\xef\n")})
        assert list(reader.entries()) == [{"number": 1}, {"name": os.fsdecode(b"\xef\n")}]
        assert list(reader.entries()) == []
    assert list(reader.entries()) == [{END: True}]


def test_an_unfinished_last_line_waits_for_its_end(tmp_path):
    path = tmp_path / "0.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b"')
    reader = Reader(path)
    assert list(reader.entries()) == [{"a": 1}]
    assert list(reader.entries()) == []
    with path.open("ab") as file:
        file.write(b": 2}\n")
    assert list(reader.entries()) == [{"b": 2}]


def test_a_damaged_line_costs_nothing_but_itself(tmp_path):
    path = tmp_path / "0.jsonl"
    path.write_bytes(b'{"a": 1}\n\0\0\0\n\xff\n{"b": 2}\n')
    assert list(Reader(path).entries()) == [{"a": 1}, {"b": 2}]


def test_a_journal_is_held_as_long_as_it_is_open(tmp_path):
    path = tmp_path / "0.jsonl"
    with Journal(path):
        assert is_held(path)
        assert is_held(path)  # looking does not free it
    assert not is_held(path)


def test_no_journal_takes_the_place_of_another(tmp_path):
    with Journal(tmp_path / "0.jsonl"), pytest.raises(FileExistsError):
        Journal(tmp_path / "0.jsonl")
