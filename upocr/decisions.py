"""Decisions per word or stroke group instead of per pixel: the tasks check each other."""

from dataclasses import dataclass

import cv2
import numpy as np

from upocr.tasks import Verdict

PIXEL, COMPONENT = "pixel", "component"
DECISIONS = (COMPONENT, PIXEL)

# Strokes at most this far apart, in pixels, form one group.
GAP = 8
# Smallest part of a word with a verdict of its own, in squared line heights: a narrow digit.
LEAST_PART = 0.25
GENUINE, TAMPERED = 1, 2


def stroke_groups(text: np.ndarray, gap: int = GAP) -> np.ndarray:
    """Number of the stroke group of every pixel, (H, W) int32, 0 outside of text.

    text: (H, W) uint8, nonzero for text; strokes at most `gap` pixels apart form one group.
    """
    near = cv2.dilate(text, np.ones((gap + 1, gap + 1), np.uint8)) if gap else text
    _, groups = cv2.connectedComponents(near, connectivity=8, ltype=cv2.CV_32S)
    groups[text == 0] = 0
    return np.asarray(groups)


def means(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of `values` (H, W) over every group, (number of groups + 1,) float64; 0 for none."""
    places = groups > 0
    numbers = groups[places]
    sums = np.bincount(numbers, values[places], minlength=1)
    return sums / np.maximum(np.bincount(numbers, minlength=1), 1)


@dataclass(frozen=True)
class TextRule:
    """Which stroke groups are text.

    Args:
        margin: the mean probability of a group must exceed the threshold by this fraction of what
            is left to certainty: 1 / 6 is a probability of 0.5 for a threshold of 0.4.
        min_agreement: detection must find text in more than this part of the group,
        sure: unless the mean probability exceeds this value.
    """

    margin: float = 1 / 6
    min_agreement: float = 0.5
    sure: float = 1.0

    def keeps(
        self, probability: np.ndarray, agreement: np.ndarray | None, threshold: float
    ) -> np.ndarray:
        """Mean probabilities of groups, parts with detected text, threshold, all 0-1 -> bool."""
        kept = probability > threshold + self.margin * (1 - threshold)
        if agreement is None:
            return kept
        return kept & ((agreement > self.min_agreement) | (probability > self.sure))


RULE = TextRule()  # compared with others by `python -m tools.tune_decision`


def confirmed_text(
    text: np.ndarray,
    probability: np.ndarray,
    threshold: float,
    detected: np.ndarray | None,
    rule: TextRule = RULE,
) -> np.ndarray:
    """Keep the stroke groups of a segmentation that are text beyond doubt, (H, W) uint8.

    Args:
        text: (H, W) uint8, 1 for segmented text.
        probability: (H, W) uint8 of the segmentation, 255 is certain.
        threshold: of the segmentation, 0-1.
        detected: (H, W) uint8, nonzero where detection finds text; None if the model has no such
            task.
        rule: which groups are kept.
    """
    groups = stroke_groups(text)
    agreement = None if detected is None else means(groups, detected > 0)
    kept = rule.keeps(means(groups, probability) / 255, agreement, threshold)
    kept[0] = False
    return kept[groups].astype(np.uint8)


def judge_words(
    classes: np.ndarray, share: np.ndarray, verdict: Verdict
) -> tuple[np.ndarray, np.ndarray]:
    """One verdict per word.

    A word is a connected group of pixels of one class. Parts too small to be a character belong to
    the text around them.

    Args:
        classes: (H, W) uint8 per pixel: 0 background, 1 genuine, 2 tampered.
        share: (H, W) uint8, share of `tampered` in the evidence for text, 255 is all.
        verdict: from shares to verdicts.

    Returns classes per word, and the probability of tampering of each word, both (H, W) uint8.
    """
    words, shares = word_shares(classes, share)
    probability = verdict.probability(shares)
    probability[0] = 0
    verdicts = np.where(probability >= verdict.threshold, TAMPERED, GENUINE).astype(np.uint8)
    verdicts[0] = 0
    return verdicts[words], np.rint(255 * probability).astype(np.uint8)[words]


def word_shares(classes: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the word of every pixel, (H, W) int32, and mean share of each word in [0, 1].

    Arguments as of `judge_words`. Pixels and words of number 0 are none.
    """
    words = _words(classes)
    return words, means(words, share) / 255


def _words(classes: np.ndarray) -> np.ndarray:
    """Number of the word of every pixel, (H, W) int32, 0 outside of text."""
    text = (classes > 0).astype(np.uint8)
    places = np.flatnonzero(text)  # below, arrays of text pixels only: most of a page is none
    count, found = cv2.connectedComponents(text, connectivity=8, ltype=cv2.CV_32S)
    areas, kinds = found.ravel()[places].astype(np.int32), classes.ravel()[places]
    del found
    heights = np.zeros(count, np.float32)  # of lines: twice the largest distance to the background
    depth = cv2.distanceTransform(np.pad(text, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    np.maximum.at(heights, areas, 2 * depth[text > 0])
    del depth
    words, split = np.zeros_like(areas), np.zeros(count, bool)
    for number in (GENUINE, TAMPERED):
        mask = (classes == number).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        own = kinds == number
        parts = labels.ravel()[places[own]]
        inside = np.zeros(len(stats), np.int32)
        inside[parts] = areas[own]  # a part lies in one area of text
        whole = stats[:, cv2.CC_STAT_AREA] >= LEAST_PART * heights[inside] ** 2
        whole[0] = False
        split[inside[whole]] = True
        words[own] = np.where(whole[parts], parts + count, 0)
        count += len(stats)
    numbers = np.zeros(classes.shape, np.int32)
    numbers.ravel()[places] = words = np.where(split[areas], words, areas)
    if not words.all():  # parts too small to be a word
        numbers.ravel()[places] = _nearest(numbers).ravel()[places]
    return numbers


def _nearest(numbers: np.ndarray) -> np.ndarray:
    """The number nearest to every pixel, (H, W) int32; 0 in `numbers` is none."""
    none = (numbers == 0).astype(np.uint8)
    _, places = cv2.distanceTransformWithLabels(
        none, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.zeros(places.max() + 1, numbers.dtype)
    known[places[none == 0]] = numbers[none == 0]
    return known[places]
