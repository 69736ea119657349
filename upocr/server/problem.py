"""Errors that the client sees: a status and one sentence."""


class Problem(Exception):  # noqa: N818 - an answer, not a bug
    """Answered as `{"error": sentence}`.

    Args:
        status: of HTTP.
        sentence: what is wrong and what would be right.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
