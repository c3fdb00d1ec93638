"""Valid input of each kind, and how it is spoiled by chance: see `hostile_worker`.

An area is a function of a folder that makes what is valid, and returns one that spoils it and uses
it as a user would.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import random
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spoil import EXTREMES, spoiled_bytes, spoiled_json, spoiled_text, spoiled_value, written

HELPERS = Path(__file__).parent
Attempt = Callable[[random.Random, Path], object]


def looked_at(value: Any) -> None:
    """All that can be read of a value."""
    json.dumps(value.to_dict() if hasattr(value, "to_dict") else None, default=str)
    assert "\x1b" not in str(value) and "\x1b" not in repr(value)
    for name in ("_repr_html_", "rows", "csv_text", "json_text"):
        if hasattr(value, name):
            getattr(value, name)()


def presets(base: Path) -> Attempt:
    import tomllib

    from modelzoo_runner.planning import planner
    from modelzoo_runner.planning.request import Request
    from modelzoo_runner.values import codec
    from modelzoo_runner.values import presets as room

    texts = [path.read_text() for path in sorted(room.folder().glob("*.toml"))]
    records = [tomllib.loads(text) for text in texts]

    def attempt(rng: random.Random, folder: Path) -> None:
        if rng.random() < 0.4:
            text = spoiled_text(rng, rng.choice(texts))
        else:
            record = spoiled_value(rng, rng.choice(records))
            lines = (record if isinstance(record, dict) else {}).items()
            text = "".join(f"{json.dumps(key)} = {_toml(each)}\n" for key, each in lines)
        preset = room.read(written(folder / "p.toml", text))
        for kind in ("benchmark", "accuracy"):
            request = Request(kind=kind, precision=rng.choice(preset.precisions), data_location="/")
            json.dumps(codec.to_dict(planner.resolved(preset, request)))

    return attempt


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    text = json.dumps(value)
    return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf", "null": '""'}.get(text, text)


def arguments(base: Path) -> Attempt:
    import inspect

    import modelzoo_runner
    from modelzoo_runner.planning import planner
    from modelzoo_runner.planning.request import Request
    from modelzoo_runner.values import codec
    from modelzoo_runner.values.deprecated import with_new_names

    names = {
        verb: [
            each.name
            for each in inspect.signature(getattr(modelzoo_runner, verb)).parameters.values()
            if each.kind is each.KEYWORD_ONLY and each.name not in ("progress", "offline")
        ]
        for verb in ("benchmark", "accuracy")
    }

    def attempt(rng: random.Random, folder: Path) -> None:
        verb = rng.choice(("benchmark", "accuracy"))
        given = {
            rng.choice(names[verb]): rng.choice(EXTREMES) for _ in range(rng.choice((1, 2, 3)))
        }
        model: Any = rng.choice(("resnet50", "rfcn", "ssd-mobilenet", rng.choice(EXTREMES)))
        request = Request.of(verb, with_new_names(given))  # type: ignore[arg-type]
        preset, request = planner.preset_for(model, request)
        codec.to_dict(planner.resolved(preset, request))

    return attempt


def results(base: Path) -> Attempt:
    from results_made import ab_result, accuracy_result, benchmark_result, of_processes

    from modelzoo_runner import SweepResult, compare, load
    from modelzoo_runner.api.history import History
    from modelzoo_runner.results.export import Exportable
    from modelzoo_runner.results.runtimes import RuntimesResult, Way

    one = benchmark_result()
    ways = (Way(runtime="openvino", precision="fp32", problem="no"),)
    made: list[Any] = [
        one,
        of_processes(0.1, 0.11, 0.12),
        accuracy_result({"top1": 3, "top5": 4}, 5),
        ab_result([1.0, 1.1], 3),
        SweepResult((one, accuracy_result({"top1": 3, "top5": 4}, 5))),
        RuntimesResult(model="m", ways=ways, measured=None),
    ]
    records = [json.loads(each.json_text()) for each in made]
    old = HELPERS.parent / "unit/results/schema1"
    records += [json.loads(path.read_text()) for path in sorted(old.glob("*.json"))]

    def attempt(rng: random.Random, folder: Path) -> None:
        path = written(folder / "r.json", spoiled_json(rng, rng.choice(records)))
        found: Any = load(path, Exportable)
        looked_at(found)
        match rng.randrange(3):
            case 0:
                looked_at(compare(one, found))
            case 1:
                looked_at(compare(found, found))
            case _:
                history = History(folder / "h.db")
                history.add(found)
                looked_at(history)
                history.regressions()

    return attempt


def launch(base: Path) -> Attempt:
    from modelzoo_runner import from_launch_command

    entries = HELPERS.parent / "unit/legacy/launch_entries.txt"
    lines = [line for line in entries.read_text().splitlines() if line.count("|") >= 3]
    commands = ["python launch_benchmark.py " + line.split("|")[2].strip() for line in lines]
    around = (
        "export OMP_NUM_THREADS=4\n{}",
        "A=b; cd x && {} | tee log",
        "{} \\\n  --steps=3",
        "{}",
    )

    def attempt(rng: random.Random, folder: Path) -> None:
        text = rng.choice(around).format(rng.choice(commands))
        if rng.random() < 0.3:
            text += "\n" + rng.choice(around).format(rng.choice(commands))
        text = spoiled_text(rng, text)
        if rng.random() < 0.05:
            text = "A=xx\n" + 'A="$A$A"\n' * rng.randrange(60) + text + " $A"
        found = from_launch_command(written(folder / "s.sh", text) if rng.random() < 0.3 else text)
        for call in found if isinstance(found, list) else [found]:
            str(call), call.shell(), list(map(str, call.notes))

    return attempt


def labels(base: Path) -> Attempt:
    from coco_made import encoded

    from modelzoo_runner.data import label_map, labelled

    synsets = [f"n{number:08}" for number in range(1440764, 1440774)]
    images = base.absolute() / "images"
    for number in range(5):
        written(images / f"ILSVRC2012_val_{number + 1:08}.JPEG", encoded(seed=number))
    names = [path.name for path in sorted(images.iterdir())]
    pbtxt = "".join(
        f'item {{\n  name: "/m/{n}"\n  id: {n}\n  display_name: "c{n}"\n}}\n' for n in range(1, 6)
    )
    valid: dict[str, str] = {
        "m.pbtxt": pbtxt,
        "m.txt": "background\nperson\ndog\n",
        "m.json": json.dumps({"1": "person", "18": "dog"}),
        "list.txt": "".join(f"{name} {n}\n" for n, name in enumerate(names)),
        "list.csv": "ImageId,PredictionString\n"
        + "".join(f"{n[:-5]},{synsets[0]} 1 2 3 4\n" for n in names),
        "labels.json": json.dumps({name: n for n, name in enumerate(names)}),
        "synsets.txt": "\n".join(synsets),
    }

    def attempt(rng: random.Random, folder: Path) -> None:
        name = rng.choice(list(valid))
        text = valid[name]
        if name.endswith("json") and rng.random() < 0.6:
            path = written(folder / name, spoiled_json(rng, json.loads(text)))
        elif rng.random() < 0.3:
            path = written(folder / name, spoiled_bytes(rng, text.encode()))
        else:
            path = written(folder / name, spoiled_text(rng, text))
        if name.startswith("m."):
            label_map.read(path)
        else:
            labelled.labelled_images(images, path)

    return attempt


def coco(base: Path) -> Attempt:
    from coco_made import annotation, instances

    from modelzoo_runner import convert_coco, score_detections
    from modelzoo_runner.api.paired import compare_predictions

    mask = {"segmentation": [[1, 1, 5, 1, 5, 5]]}
    crowd = {"segmentation": {"size": [6, 8], "counts": [3, 5, 40]}, "iscrowd": 1}
    annotations = [annotation(n, 1 + n % 3, 1 + 17 * (n % 2), **mask) for n in range(1, 8)]
    truth = instances([(8, 6)] * 3, *annotations, annotation(9, 1, 13, **crowd))
    found = [
        {
            "image_id": n % 3 + 1,
            "category_id": 1 + 17 * (n % 2),
            "bbox": [1.0, 2.0, 3.0, 1.5],
            "score": n / 9,
            "segmentation": {"size": [6, 8], "counts": [3, 5, 40]},
        }
        for n in range(9)
    ]
    rows = "filename,label,prediction,top5\n" + "".join(
        f"{n}.jpg,{n},{n},{n} 1 2\n" for n in range(6)
    )
    written(base / "rows.csv", rows)

    def attempt(rng: random.Random, folder: Path) -> None:
        first, second = folder / "found.json", folder / "instances_val.json"
        spoils_truth = rng.random() < 0.5
        for path, value, spoils in (
            (first, found, not spoils_truth),
            (second, truth, spoils_truth),
        ):
            written(path, spoiled_json(rng, value) if spoils else json.dumps(value))
        kind = rng.choice(("bbox", "bbox", "segm"))
        match rng.randrange(8):
            case 0:
                compare_predictions(first, first, annotations=second, resamples=20)
            case 1:
                text = spoiled_text(rng, rows)
                compare_predictions(base / "rows.csv", written(folder / "rows.csv", text))
            case 2:
                convert_coco(folder, second, folder / "out")
            case 3 | 4:
                value = spoiled_value(rng, found)
                str(score_detections(value, truth, iou_type=kind, legacy=rng.random() < 0.3))
            case 5:
                value = spoiled_value(rng, truth)
                str(score_detections(found, value, iou_type=kind))
            case _:
                str(score_detections(first, second, iou_type=kind))

    return attempt


def images(base: Path) -> Attempt:
    from coco_made import encoded

    from modelzoo_runner.data.images import Encoded, decode, keep_encoded

    made = [
        encoded(*size, mode=mode, form=form)
        for size in ((8, 6), (64, 48))
        for mode, form in (
            ("RGB", "JPEG"),
            ("L", "JPEG"),
            ("CMYK", "JPEG"),
            ("RGBA", "PNG"),
            ("P", "PNG"),
            ("L", "PNG"),
            ("RGB", "BMP"),
            ("RGB", "GIF"),
            ("RGB", "WEBP"),
        )
    ]

    def attempt(rng: random.Random, folder: Path) -> None:
        data = rng.choice(made)
        if rng.random() < 0.3:  # what a header says of the size
            data = (
                data[:16]
                + struct.pack(">II", rng.choice((0, 1, 70_000, 2**31 - 1)), 70_000)
                + data[24:]
            )
        image = Encoded(name="x", image_id=1, where="x", data=spoiled_bytes(rng, data))
        (decode if rng.random() < 0.8 else keep_encoded)(image)

    return attempt


def records(base: Path) -> Attempt:
    import tensorflow as tf
    from coco_made import annotation, encoded, instances, old_example
    from google.protobuf.message import Message

    from modelzoo_runner.data import coco, coco_find, coco_records, imagenet
    from modelzoo_runner.data.batches import ReadOptions
    from modelzoo_runner.data.records import read_records, writing
    from modelzoo_runner.values.presets import find

    recipe = find("resnet50").preprocess
    truth = instances([(8, 6)], annotation(1, 1), annotation(2, 1, 18))
    names = {each["id"]: each["name"] for each in truth["categories"]}
    slim = {
        "encoded": encoded(),
        "class__label": 66,
        "class__synset": "n01751748",
        "filename": "ILSVRC2012_val_00000001.JPEG",
    }
    from coco_made import example

    made = {
        "validation-00000-of-00001": example(**slim),
        "coco_val.record-00000-of-00001": coco_records.to_record(
            encoded(), truth["images"][0], truth["annotations"], names
        ),
        "coco_old.record": old_example(),
    }

    def spoiled_example(rng: random.Random, record: bytes) -> bytes:
        found = tf.train.Example.FromString(record)
        features = found.features.feature
        key = rng.choice(sorted(features))
        value: Any = rng.choice(EXTREMES)
        feature: Message = features[key]
        match rng.randrange(6):
            case 0:
                del features[key]
            case 1:
                feature.Clear()
            case 2:
                features[rng.choice(sorted(features))].CopyFrom(feature)
            case 3:
                feature.Clear()
                feature.bytes_list.value.append(str(value)[:100].encode("utf-8", "replace"))
            case 4:
                feature.Clear()
                number = value if isinstance(value, int) and abs(value) < 2**63 else 7
                feature.int64_list.value.extend([number] * rng.choice((1, 1, 2, 100)))
            case _:
                feature.Clear()
                number = value if isinstance(value, float) else -1.5
                feature.float_list.value.extend([number] * rng.choice((1, 1, 2, 4)))
        return bytes(found.SerializeToString())

    def attempt(rng: random.Random, folder: Path) -> None:
        name = rng.choice(list(made))
        path = folder / "r" / name
        path.parent.mkdir()
        record = made[name]
        match rng.randrange(4):
            case 0:
                record = spoiled_bytes(rng, record)
            case 1 | 2:
                for _ in range(rng.choice((1, 1, 2))):
                    record = spoiled_example(rng, record)
        with writing(path) as writer:
            for _ in range(3 if name.startswith("validation") else 1):
                writer.write(record)
        if rng.random() < 0.3:
            path.write_bytes(spoiled_bytes(rng, path.read_bytes()))
        if name.startswith("validation"):
            shards = imagenet.find(path.parent)
            found: Any = imagenet.batches(shards, recipe, ReadOptions(batch_size=2))
        else:
            source = coco_find.find(path)
            coco.ground_truth(source)
            found = coco.batches(source, ReadOptions(batch_size=2))
        try:
            for _ in found:
                pass
        finally:
            found.close()
        list(read_records(path))

    return attempt


def graphs(base: Path) -> Attempt:
    import graphs_made
    import tiny
    from tensorflow.core.framework.graph_pb2 import GraphDef

    from modelzoo_runner.backends.tensorflow import load, prepare
    from modelzoo_runner.backends.tensorflow.inspect import inspect_graph
    from modelzoo_runner.int8 import layers
    from modelzoo_runner.values.presets import find

    tiny.detector(base / "detector.pb", dict(find("rfcn").graph["fp32"].outputs))
    made = [
        graphs_made.classifier().SerializeToString(),
        graphs_made.while_loop().SerializeToString(),
        graphs_made.int8_residual().SerializeToString(),
        graphs_made.resnet_v1_50(width=4, image=32).SerializeToString(),
        (base / "detector.pb").read_bytes(),
    ]

    def attempt(rng: random.Random, folder: Path) -> None:
        data = rng.choice(made)
        if rng.random() < 0.75:
            graph_def = GraphDef.FromString(data)
            for _ in range(rng.choice((1, 1, 2, 4))):
                spoil_graph(rng, graph_def)
            data = graph_def.SerializeToString()
        else:
            data = spoiled_bytes(rng, data)
        path = written(folder / "g.pb", data)
        looked_at(inspect_graph(path))
        graph_def, input, outputs = load.resolve_graph(path)
        prepare.prepare(graph_def, input=input, outputs=list(outputs.values()))
        layers.layers(graph_def, input=input, outputs=list(outputs.values()))

    return attempt


def spoil_graph(rng: random.Random, graph_def: Any) -> None:
    node = rng.choice(graph_def.node)
    other = rng.choice(graph_def.node)
    names = sorted(node.attr)
    attr = node.attr[rng.choice(names)] if names else None
    big = rng.choice((0, -1, -2, 2**31 - 1, 2**31, 2**62, 7))
    match rng.randrange(18):
        case 0 if attr is not None:
            node.attr[rng.choice(names)].Clear()
        case 1 if names:
            del node.attr[rng.choice(names)]
        case 2 if attr is not None:
            attr.type = rng.choice((0, 1, 2, 3, 7, 12, 19, 101, 999))
        case 3 if attr is not None:
            attr.i = big
        case 4 if attr is not None:
            attr.list.i.extend([big] * rng.choice((1, 4, 100)))
        case 5 if attr is not None:
            attr.shape.dim.add(size=big)
        case 6 if attr is not None:
            attr.s = rng.choice((b"", b"NHWC", b"NCHW", b"\xff", b"SAME\x00", b"x" * 10_000))
        case 7 if len(node.input):
            del node.input[rng.randrange(len(node.input))]
        case 8:
            node.input.append(
                rng.choice((other.name, "", "^", ":", "x:99999999999999999999", "^x"))
            )
        case 9 if len(node.input):
            node.input[rng.randrange(len(node.input))] = rng.choice(
                (node.name, other.name, "nobody")
            )
        case 10:
            node.name = rng.choice((other.name, "", "\x1b[2J", "a b", "_x", "é", "^x", "a:0"))
        case 11:
            node.op = rng.choice(
                (
                    other.op,
                    "",
                    "Nothing",
                    "Split",
                    "Unpack",
                    "DynamicPartition",
                    "Const",
                    "Placeholder",
                    "Conv2D",
                    "PartitionedCall",
                )
            )
        case 12:
            for each in graph_def.node:
                if each.op == "Const" and rng.random() < 0.3:
                    content = each.attr["value"].tensor
                    content.tensor_content = spoiled_bytes(rng, content.tensor_content)
        case 13:
            for each in graph_def.node:
                if each.op == "Const" and rng.random() < 0.2:
                    content = each.attr["value"].tensor
                    content.tensor_shape.dim.add(size=big)
        case 14:
            for each in graph_def.node:
                if each.op == "Const" and rng.random() < 0.2:
                    each.attr["value"].tensor.dtype = rng.choice((0, 1, 7, 23, 101, 999))
        case 15:
            graph_def.node.remove(node)
        case 16 if rng.random() < 0.2:
            for number in range(rng.choice((100, 5000))):
                source = f"i{number - 1}" if number else node.name
                graph_def.node.add(name=f"i{number}", op="Identity", input=[source])
        case _:
            graph_def.node.add().CopyFrom(node)


def archives(base: Path) -> Attempt:
    from modelzoo_runner.storage import fetch

    def made(mode: str) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name in ("m/readme", "m/graph.pb", "m/link"):
                member = tarfile.TarInfo(name)
                member.size = 3000
                archive.addfile(member, io.BytesIO(os.urandom(3000)))
        return file.getvalue()

    kinds = [(mode, made(mode)) for mode in ("w", "w:gz", "w:bz2", "w:xz")]

    def attempt(rng: random.Random, folder: Path) -> None:
        _, data = rng.choice(kinds)
        path = written(folder / "m.tar.gz", spoiled_bytes(rng, data))
        found = fetch.local(path, member="*/graph.pb", cache=folder / "cache")
        assert found.stat().st_size < 10**7

    return attempt


def cache(base: Path) -> Attempt:
    from modelzoo_runner.storage import cache as room
    from modelzoo_runner.storage import fetch, folders, upkeep
    from modelzoo_runner.storage.listing import Listing, StoredObject
    from modelzoo_runner.storage.locations import BucketPlace
    from modelzoo_runner.values.context import Context

    url = "https://example.org/m.pb"
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"
    stored = StoredObject(bucket="b", name="f/x", generation="1", size=3, crc32c=None)

    def attempt(rng: random.Random, folder: Path) -> None:
        root = folder / "cache"
        spoiled = rng.choice(("record", "another", "hashes", "listing"))

        def write(path: Path, value: Any, name: str) -> None:
            written(path, spoiled_json(rng, value) if spoiled == name else json.dumps(value))

        for name, location in (("record", url), ("another", stored.url)):
            home = room.folder_of(root, location)
            record = {
                "location": location,
                "path": "m.pb",
                "size": 3,
                "sha256": digest,
                "version": "1",
                "identity": [1, 2, 3],
                "fetched_at": "2026-01-01T00:00:00+00:00",
            }
            written(home / "content/m.pb", b"abc")
            write(home / "record.json", record, name)
        write(root / "hashes.json", {url: {"sha256": digest, "size": 3}}, "hashes")
        listed = asdict(Listing(base="f/", objects=(stored,)))
        place = BucketPlace("b", "f/")
        write(folders._listing_path(root, place), {"location": place.url, **listed}, "listing")
        looked_at(upkeep.verify_cache(root))
        for location in (url, "gs://b/f/"):
            found = fetch.local(location, cache=root, context=Context(offline=True))
            assert found.is_relative_to(root)
        upkeep.clear_cache(root)

    return attempt


def server(base: Path) -> Attempt:
    from modelzoo_runner.storage import fetch
    from modelzoo_runner.storage.retrying import RetryPolicy

    retry = RetryPolicy(
        attempts=2,
        first_wait=0.01,
        longest_wait=0.5,
        connect=1.0,
        read=0.5,
        slow_after=1.0,
        stalled=1.0,
    )
    content = os.urandom(2000)
    listed = {
        "kind": "storage#object",
        "name": "m.pb",
        "bucket": "b",
        "generation": "1",
        "size": "2000",
        "crc32c": "AAAAAA==",
        "updated": "2026-01-01T00:00:00Z",
    }
    headers: Mapping[str, tuple[str, ...]] = {
        "Content-Length": ("2000", "0", "-1", "9" * 5000, "1e3", "99999999999"),
        "Content-Range": ("bytes 0-1999/2000", "bytes 9-1/2", "bytes */0", "x" * 60_000),
        "Transfer-Encoding": ("chunked", "gzip", "chunked, chunked", ""),
        "Content-Encoding": ("gzip", "br", "identity", "x"),
        "Content-Type": ("application/octet-stream", "text/html", "application/json; charset=\xff"),
        "ETag": ('"v1"', "W/x", "\x1b[2J", ""),
        "Location": (
            "/m.pb",
            "http://[::1",
            "//u:p@127.0.0.1/x",
            "\x1b[2J",
            "x" * 9000,
            "gopher://x",
        ),
        "Retry-After": ("0", "9" * 5000, "-1", "nan", "Fri, 31 Dec 99999 23:59:59 GMT"),
        "X-Goog-Hash": ("crc32c=AAAAAA==", "crc32c=======", "x"),
        "X-Goog-Generation": ("1", "", "x"),
        "Set-Cookie": ("a=b; expires=x", "\x00=\x00"),
        "Connection": ("close", "keep-alive", "upgrade"),
    }

    def answer(rng: random.Random) -> bytes:
        status = rng.choice(
            (200, 200, 200, 206, 301, 302, 307, 401, 403, 404, 416, 429, 500, 503, 100, 99, 999)
        )
        body = rng.choice(
            (content, json.dumps(listed).encode(), spoiled_json(rng, listed), b"<html>", b"")
        )
        lines = [f"HTTP/1.1 {status} {rng.choice(('OK', '', chr(27) + '[2J', 'x' * 70_000))}"]
        chosen = {
            name: rng.choice(headers[name]) for name in rng.sample(list(headers), rng.randrange(5))
        }
        if rng.random() < 0.6:
            chosen["Content-Length"] = str(len(body))
        lines += [f"{name}: {value}" for name, value in chosen.items()]
        if rng.random() < 0.03:
            lines += [f"X-{number}: y" for number in range(500)]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        return spoiled_bytes(rng, data) if rng.random() < 0.4 else data

    def serve(listener: socket.socket, rng: random.Random) -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                try:
                    line.settimeout(2)
                    line.recv(65_536)
                    data = answer(rng)
                    if rng.random() < 0.02:
                        for each in data[:30]:
                            line.sendall(bytes([each]))
                            threading.Event().wait(0.1)
                    else:
                        line.sendall(data)
                except OSError:
                    continue

    def attempt(rng: random.Random, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            threading.Thread(target=serve, args=(listener, rng), daemon=True).start()
            here = f"http://127.0.0.1:{port}"
            options: Any = {"cache": folder / "cache", "retry": retry}
            try:
                if rng.random() < 0.7:
                    found = fetch.local(f"{here}/m.pb", **options)
                    assert found.is_relative_to(folder)
                else:
                    fetch.local(rng.choice(("gs://b/m.pb", "gs://b/f/")), endpoint=here, **options)
            finally:
                listener.shutdown(socket.SHUT_RDWR)

    return attempt


AREAS: Mapping[str, Callable[[Path], Attempt]] = {
    each.__name__: each
    for each in (
        graphs,
        records,
        images,
        coco,
        presets,
        arguments,
        results,
        launch,
        labels,
        archives,
        cache,
        server,
    )
}


WITH_TENSORFLOW = ("graphs", "records", "images", "coco")


def find(name: str) -> Callable[[Path], Attempt]:
    """The area of that name, or `faults`."""
    if name in WITH_TENSORFLOW:
        importlib.import_module("tensorflow")  # not in the time of the first case
    return {**AREAS, "faults": faults}[name]


def faults(base: Path) -> Attempt:
    """Not hostile input, but each of the ends that are to be noticed, one after the other."""
    from modelzoo_runner.errors import DataError

    def attempt(rng: random.Random, folder: Path) -> None:
        done = folder.parent / "done"  # children of one run share it
        done.write_bytes(b"." * (number := done.stat().st_size + 1 if done.exists() else 1))
        match number:
            case 1:
                raise ValueError("raw")
            case 2:
                os.abort()
            case 3:
                threading.Event().wait()
            case 4:
                bytearray(1 << 45)
            case _:
                raise DataError("typed")

    return attempt
