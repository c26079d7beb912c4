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


def png(image: np.ndarray) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format="PNG")
        return file.getvalue()


def example(image: np.ndarray, label: int) -> bytes:
    message = tf_example_pb2.Example()
    message.features.feature["image"].bytes_list.value.append(png(image))
    message.features.feature["label"].int64_list.value.append(label)
    return message.SerializeToString()


def main() -> None:
    folder = Path(__file__).parent / NAME / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    splits, start = [], 0
    for split, each in COUNTS.items():
        chosen = np.sort([np.flatnonzero(digits.target == c)[start : start + each] for c in range(10)], axis=None)
        start += each
        records = [example(images[i], int(digits.target[i])) for i in chosen]
        path = folder / f"{NAME}-{split}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()
        splits.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": str(sum(map(len, records))),
                "shardLengths": [str(len(records))],
            }
        )
    features = {
        "image": {
            "image": {"dtype": "uint8", "shape": {"dimensions": ["8", "8", "1"]}},
            "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
        },
        "label": {
            "classLabel": {"numClasses": "10"},
            "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
        },
    }
    dictionary = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    documents = {
        "dataset_info.json": {
            "description": "A few of scikit-learn's digits.",
            "fileFormat": "array_record",
            "name": NAME,
            "splits": splits,
            "version": VERSION,
        },
        "features.json": {"featuresDict": {"features": features}, "pythonClassName": dictionary},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2) + "\n")
    (folder / "label.labels.txt").write_text("\n".join(CLASSES) + "\n")


if __name__ == "__main__":
    main()
