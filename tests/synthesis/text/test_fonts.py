"""Fonts: missing glyphs are seen, and faces are drawn for the scripts that they cover."""

from pathlib import Path

import pytest
from font_files import write_font

from synthesis.sampling import generator
from synthesis.text import fonts as fonts_module
from synthesis.text.fonts import BUILT_IN, Face, FontBook, covers, load_faces
from synthesis.text.scripts import SCRIPTS


def test_missing_glyphs_are_seen():
    assert covers(BUILT_IN, "Open 24 h")
    assert not covers(BUILT_IN, "出口")


def test_a_font_is_only_drawn_for_scripts_that_it_covers(fonts: FontBook):
    rng = generator(0)
    assert set(fonts.scripts) == set(SCRIPTS)
    for script in fonts.scripts:
        face = fonts.draw_face(rng, script)
        assert covers(face.path, SCRIPTS[script].probes)


def test_another_face_is_similar_unless_there_is_none():
    faces = [Face(BUILT_IN, "one", ("latin",)), Face("other.ttf", "other", ("greek",))]
    assert FontBook(faces).similar_face(generator(0), BUILT_IN, "latin") is faces[0]


def test_without_any_font_pillows_own_is_used(tmp_path: Path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fonts = load_faces([tmp_path])
    assert [(face.path, face.scripts) for face in fonts] == [(BUILT_IN, ("latin",))]


def test_the_default_are_the_fonts_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_font(tmp_path / "greek.otf", SCRIPTS["greek"].probes)
    monkeypatch.setattr(fonts_module, "system_font_folders", lambda: [tmp_path])
    assert [(face.path, face.scripts) for face in load_faces([])] == [(str(path), ("greek",))]


def test_handwriting_is_known_by_the_family():
    faces = [Face("a", "Breip", ("latin",)), Face("b", "DejaVu Serif", ("latin", "greek"))]
    assert FontBook(faces).draw_handwritten_face(generator(0), "latin") is faces[0]
    assert FontBook(faces).draw_handwritten_face(generator(0), "greek") is None
