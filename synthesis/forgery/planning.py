"""Planning: which words of a photograph are forged, and how."""

import math
from collections.abc import Sequence

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.lookalikes import add_lookalike
from synthesis.forgery.tampering import FORGERS, Forgery, forge
from synthesis.sampling import pick_weighted
from synthesis.scene.scene import SceneWord

# Range of the share of a picture's words to forge. A network that sees either no word forged or
# nearly all learns to judge pictures, not words.
FORGED_WORDS = (0.1, 0.6)
RETEXTURE = "retexture"  # changes what no lookalike can imitate; needs no room for one
_WEIGHTS = {kind: 0.4 if kind == RETEXTURE else 0.12 for kind in FORGERS}

Plan = tuple[SceneWord, list[str]]  # a word to forge, and kinds of forgery to try in turn


def plan_forgeries(context: ForgeryContext) -> list[Plan]:
    """Choose words and kinds; adds a lookalike of every kind to the scene."""
    rng = context.rng
    words = [word for word in context.scene.words if context.can_forge(word)]
    count = math.ceil(rng.uniform(*FORGED_WORDS) * len(words))
    chosen = [words[index] for index in rng.permutation(len(words))[:count]]
    kinds = [pick_weighted(rng, _WEIGHTS) for _ in chosen]
    # The first word of every kind is the model of its lookalike.
    models = {kind: word for word, kind in reversed(list(zip(chosen, kinds, strict=True)))}
    imitated = [kind for kind, word in models.items() if add_lookalike(context, kind, word)]
    # A kind without room for its lookalike, or for itself, gives way to one with a lookalike.
    plans = []
    for word, kind in zip(chosen, kinds, strict=True):
        others = sorted(rng.permutation(imitated).tolist(), key=lambda other: other != kind)
        first = [RETEXTURE] if kind == RETEXTURE else []
        plans.append((word, [*first, *others, RETEXTURE]))
    return plans


def forge_all(context: ForgeryContext, plans: Sequence[Plan]) -> list[Forgery]:
    """Forge every word by the first of its kinds for which there is room."""
    forgeries = []
    for word, kinds in plans:
        attempts = (forge(context, kind, word) for kind in kinds)
        if forgery := next(filter(None, attempts), None):
            forgeries.append(forgery)
    return forgeries
