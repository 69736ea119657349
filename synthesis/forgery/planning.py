"""Planning: which words of a photograph are forged, and how."""

import math
from collections.abc import Sequence

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.lookalikes import add_lookalike
from synthesis.forgery.tampering import FORGERS, Forgery, can_be_forged, forge
from synthesis.sampling import pick
from synthesis.scene.scene import SceneWord

# Range of the share of a photograph's words to forge. With the lookalikes it yields about as much
# forged text as genuine: a plain regression loss would first teach to call a minority genuine.
_FORGED_WORDS = (0.95, 1.0)

Plan = tuple[SceneWord, list[str]]  # a word to forge, and kinds of forgery to try in turn


def plan_forgeries(context: ForgeryContext) -> list[Plan]:
    """Choose words and kinds; adds a lookalike of every kind to the scene."""
    rng = context.rng
    words = [word for word in context.scene.words if can_be_forged(word)]
    count = math.ceil(rng.uniform(*_FORGED_WORDS) * len(words))
    chosen = [words[index] for index in rng.permutation(len(words))[:count]]
    kinds = [pick(rng, tuple(FORGERS)) for _ in chosen]
    # The first word of every kind is the model of its lookalike.
    models = {kind: word for word, kind in reversed(list(zip(chosen, kinds, strict=True)))}
    imitated = [kind for kind, word in models.items() if add_lookalike(context, kind, word)]
    if chosen and not imitated:
        others = rng.permutation([kind for kind in FORGERS if kind not in models]).tolist()
        imitated = [kind for kind in others if add_lookalike(context, kind, chosen[0])][:1]
    if not imitated:
        return []
    # A kind without room for its lookalike, or for itself, gives way to one with a lookalike.
    return [
        (word, sorted(rng.permutation(imitated).tolist(), key=lambda other: other != kind))
        for word, kind in zip(chosen, kinds, strict=True)
    ]


def forge_all(context: ForgeryContext, plans: Sequence[Plan]) -> list[Forgery]:
    """Forge every word by the first of its kinds for which there is room."""
    forgeries = []
    for word, kinds in plans:
        attempts = (forge(context, kind, word) for kind in kinds)
        if forgery := next(filter(None, attempts), None):
            forgeries.append(forgery)
    return forgeries
