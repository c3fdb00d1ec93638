"""The 80 categories of COCO, by id.

Ids run from 1 to 90 with ten of them unused; a detector trained on COCO gives its classes in these
ids, so class n is category n. Some tools count the 80 categories through instead ("contiguous").
The names are those of `instances_val2017.json`; a label map's `display_name` is the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_WITH_GAPS = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,"
    "fire hydrant,,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,"
    "cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,"
    "handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,"
    "skateboard,surfboard,tennis racket,bottle,,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,"
    "cake,chair,couch,potted plant,bed,,dining table,,,toilet,"
    ",tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,"
    "sink,refrigerator,,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)

NAMES: Mapping[int, str] = MappingProxyType(
    {number: name for number, name in enumerate(_WITH_GAPS.split(","), start=1) if name}
)
"""Category id -> name."""

IDS: Mapping[str, int] = MappingProxyType({name: number for number, name in NAMES.items()})
"""Name -> category id."""

ORDERED: tuple[int, ...] = tuple(NAMES)
"""The ids in ascending order: `ORDERED[k]` is category k of those that count through from 0."""
