"""Converting and reading where the caller turned TensorFlow's eager execution off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from coco_made import annotation, encoded, instances, write_images, write_json

SYNSETS = ["n01440764", *(f"n02{number:06}" for number in range(998)), "n15075141"]

PROGRAM = """
import sys
import tensorflow as tf
{setting}
from modelzoo_runner import convert_coco, convert_imagenet
from modelzoo_runner.data import coco, imagenet
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.values.preset import Preprocess
folder = sys.argv[1]
print(convert_coco(f"{{folder}}/val2017", folder, f"{{folder}}/records").images)
for place in ("val2017", "records"):
    source = coco.find(f"{{folder}}/{{place}}")
    print(sum(len(batch) for batch in coco.batches(source, ReadOptions(threads=2))))
print(convert_imagenet(f"{{folder}}/images", f"{{folder}}/synsets", f"{{folder}}/shards").images)
shards = imagenet.find(f"{{folder}}/shards")
small = Preprocess(size=(32, 32), resize="shorter_side", resize_to=40)
print(sum(len(b) for b in imagenet.batches(shards, small, ReadOptions(batch_size=2, threads=2))))
try:
    convert_coco(f"{{folder}}/broken", folder, f"{{folder}}/none")
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    "setting", ["tf.compat.v1.disable_v2_behavior()", "tf.compat.v1.disable_eager_execution()"]
)
def test_converters_and_readers_work_without_eager_execution(tmp_path: Path, setting: str) -> None:
    truth = instances([(8, 6)] * 3, annotation(1, 2))
    write_images(tmp_path / "val2017", truth)
    write_images(tmp_path / "broken", truth)
    (tmp_path / "broken" / "000000000002.jpg").write_bytes(encoded(8, 6)[:-20])
    write_json(tmp_path / "instances_val2017.json", truth)
    (tmp_path / "synsets").write_text("\n".join(SYNSETS))
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{SYNSETS[number]}_x.JPEG").write_bytes(encoded(60, 50))
    program = PROGRAM.format(setting=setting)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["3", "3", "3", "4", "4", "DataError"], done.stderr
