"""Words and numbers, and a forger's substitutes for them."""

import pytest

from synthesis.sampling import generator
from synthesis.text.corpus import draw_words, similar_word
from synthesis.text.scripts import SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_come_in_the_number_asked_for(script: str):
    rng = generator(1)
    for count in (1, 4):
        assert len(draw_words(rng, script, count)) == count


def test_one_word_may_be_a_single_capital():
    drawn = [draw_words(generator(seed), "latin", 1)[0] for seed in range(200)]
    single = [word for word in drawn if len(word) == 1 and not word.isdigit()]
    assert 5 < len(single) < 50
    assert all(word.isupper() for word in single)


def test_forged_strings_differ():
    rng = generator(2)
    for word in ("EXIT", "Museum", "$4.50", "2019"):
        assert similar_word(rng, word, "latin") != word
