"""A back end that needs no weights."""

import numpy as np

from tasks import OFFICIAL_TASKS


class Painter:
    """Makes no mistakes: bright red is text, painted blue and called tampered."""

    tasks = OFFICIAL_TASKS
    image_size = 64

    def predict(self, images, tasks):
        """See `Backend.predict`."""
        text = ((images[:, :1] > 0.9) & (images[:, 1:2] < 0.1)).astype(np.float32)
        blue = np.array([0, 0, 1], np.float32)[:, None, None]
        answers = {
            "text_removal": images * (1 - text) + text * blue,
            "text_segmentation": np.repeat(text, 3, axis=1),
            "tampered_text_detection": np.concatenate([1 - text, 0 * text, text], axis=1),
        }
        return np.stack([answers[name] for name in tasks], axis=1)
