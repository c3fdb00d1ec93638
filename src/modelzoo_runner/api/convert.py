"""convert_imagenet() and convert_coco(), with TensorFlow's own lines held back."""

from __future__ import annotations

from modelzoo_runner.data import convert
from modelzoo_runner.machine import runtime_log

convert_imagenet = runtime_log.held_back()(convert.convert_imagenet)
convert_coco = runtime_log.held_back()(convert.convert_coco)
