"""Writes the prepared TFDS set `tiny_digits` beside this file: 60 training and 20 test images of scikit-learn's digits.

    python tests/data/write_tiny_digits.py

The files are what `tfds build --file_format=array_record` would have written; no TensorFlow is needed to write them.
"""

import io
import json
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from sklearn.datasets import load_digits
from tensorflow_datasets.proto import tf_example_pb2

NAME, VERSION = "tiny_digits", "1.0.0"
COUNTS = {"train": 6, "test": 2}  # of each class
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def png(image: np.ndarray | bytes) -> bytes:
    """Of an image uint8 `[height, width(, 3)]`; what is bytes stays as it is."""
    if isinstance(image, bytes):
        return image
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format="PNG")
        return file.getvalue()


def example(image: np.ndarray | bytes, label: int | None, feature: str, named: str = "image") -> bytes:
    message = tf_example_pb2.Example()
    message.features.feature[named].bytes_list.value.append(png(image))
    if label is not None:
        message.features.feature[feature].int64_list.value.append(int(label))
    return message.SerializeToString()


def write(
    folder: Path, splits: dict, classes: tuple[str, ...] = (), truth: str = "", names: dict[str, str] | None = None
) -> None:
    """Writes the prepared set `folder` = NAME/VERSION: {split: [(image uint8 [height, width(, 3)], label), …]}.

    In place of an image there may be the content of an image file.
    With `classes` labels are their numbers, with `truth` truth values of attributes/<truth>; else there are none.
    `names`: what the features image and label are called.
    """
    named = {"image": "image", "label": "label"} | (names or {})
    folder.mkdir(parents=True, exist_ok=True)
    name, version = folder.parts[-2:]
    documents = []
    for split, examples in splits.items():
        feature = f"attributes/{truth}" if truth else named["label"]
        labels = [label if classes or truth else None for _, label in examples]
        records = [
            example(image, label, feature, named["image"]) for (image, _), label in zip(examples, labels, strict=True)
        ]
        writer = ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()
        documents.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": str(sum(map(len, records))),
                "shardLengths": [str(len(records))],
            }
        )
    information = {"fileFormat": "array_record", "name": name, "splits": documents, "version": version}
    (folder / "dataset_info.json").write_text(json.dumps(information, indent=2) + "\n")
    (folder / "features.json").write_text(json.dumps(features(splits, classes, truth, named), indent=2) + "\n")
    if classes:
        (folder / f"{named['label']}.labels.txt").write_text("\n".join(classes) + "\n")


def features(splits: dict, classes: tuple[str, ...], truth: str, named: dict[str, str]) -> dict:
    """The features.json of a set; sides that differ between its images are left open."""
    images = [image for examples in splits.values() for image, _ in examples if not isinstance(image, bytes)]
    shapes = {(*image.shape, 1)[:3] for image in images} or {(-1, -1, -1)}
    sides = [str(sizes.pop()) if len(sizes := set(side)) == 1 else "-1" for side in zip(*shapes, strict=True)]
    found = {
        named["image"]: {
            "image": {"dtype": "uint8", "shape": {"dimensions": sides}},
            "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
        }
    }
    if classes:
        found[named["label"]] = {
            "classLabel": {"numClasses": str(len(classes))},
            "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
        }
    if truth:
        tensor = "tensorflow_datasets.core.features.tensor_feature.Tensor"
        value = {"pythonClassName": tensor, "tensor": {"dtype": "bool", "encoding": "none", "shape": {}}}
        found["attributes"] = dictionary({truth: value})
    return dictionary(found)


def dictionary(of: dict) -> dict:
    name = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    return {"featuresDict": {"features": of}, "pythonClassName": name}


def main() -> None:
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    splits, start = {}, 0
    for split, each in COUNTS.items():
        chosen = np.sort([np.flatnonzero(digits.target == c)[start : start + each] for c in range(10)], axis=None)
        start += each
        splits[split] = [(images[i], int(digits.target[i])) for i in chosen]
    write(Path(__file__).parent / NAME / VERSION, splits, CLASSES)


if __name__ == "__main__":
    main()
