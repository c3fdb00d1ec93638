"""The original's pipeline, for a cluster of your own.

    python inference.py inference.yaml

Upload the file in Kubeflow's UI: it asks for the ten parameters when a run is started.
"""

import sys

from modelzoo_runner.legacy import kubeflow

pipeline = kubeflow.inference_pipeline(
    kubeflow.Pod(
        # The digest that `docker push` printed.
        image="registry.example.org/modelzoo-runner@sha256:" + "0" * 64,
        cpu="24",
        memory="50G",
        node_selector={"node.kubernetes.io/instance-type": "cpu-large"},
        data={"imagenet": "/root/imagenet_dataset", "coco": "/root/coco_dataset"},
    )
)

if __name__ == "__main__":
    print(kubeflow.write(pipeline, sys.argv[1]))
