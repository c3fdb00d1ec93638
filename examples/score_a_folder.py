"""Score a graph of your own on a folder of labelled images.

    python examples/score_a_folder.py GRAPH.pb IMAGES LABELS

IMAGES is a folder of images whose names begin with their synset, or of folders named by synset;
LABELS is the file of the 1000 sorted synsets. The graph is taken to be a MobileNet v1: what goes
in, what comes out and how images become its input are in `presets/mobilenet_v1.toml`.
"""

import sys
import tempfile
from pathlib import Path

from modelzoo_runner import AccuracyResult, accuracy
from modelzoo_runner.data.convert import convert_imagenet


def main(graph: str, images: str, labels: str) -> AccuracyResult:
    """Print and return the scores."""
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        print(convert_imagenet(images, labels, shards))
        result = accuracy("mobilenet_v1", weights=graph, data_location=shards)
    print(result)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
