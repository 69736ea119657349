"""Every sample that the authors' loaders return for the small data set, equal to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from datasets import TextDataset, build_dataset

TESTS = Path(__file__).parents[1]
CONFIGS = TESTS.parent / "data_configs"
SAMPLES = np.load(TESTS / "reference" / "dataset_samples.npz")
FIELDS = {"image": "image", "label": "label", "gt_mask": "mask"}


@pytest.fixture(scope="module")
def reference_datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextDataset]:
    """The shipped configurations; text removal crops always, as it did for the vectors."""
    paths = {
        f"{phase}|{name}": CONFIGS / phase / f"{name}.yaml"
        for phase in ("train", "eval")
        for name in ("scut-enstext", "tampered-ic13", "textseg")
    }
    config = yaml.safe_load((CONFIGS / "train" / "scut-enstext.yaml").read_text())
    config["transforms"][0]["random_crop"]["probability"] = 1.0
    always_crop = tmp_path_factory.mktemp("configs") / "scut-enstext.yaml"
    always_crop.write_text(yaml.safe_dump(config))
    paths["train|scut-enstext"] = always_crop
    return {key: build_dataset(path, 64, TESTS / "data") for key, path in paths.items()}


@pytest.mark.parametrize("key", SAMPLES.files)
def test_sample_equals_reference(key: str, reference_datasets: dict[str, TextDataset]) -> None:
    phase, config, index, seed, field = key.split("|")
    dataset = reference_datasets[f"{phase}|{config}"]
    seed = int(seed.removeprefix("seed"))
    sample = dataset[int(index), seed] if phase == "train" else dataset[int(index)]
    np.testing.assert_array_equal(sample[FIELDS[field]].numpy(), SAMPLES[key])


def test_every_config_has_vectors(reference_datasets: dict[str, TextDataset]) -> None:
    assert {"|".join(key.split("|")[:2]) for key in SAMPLES.files} == set(reference_datasets)
