"""All recommended runs of all models, one after the other, each a step with its own result.

python sweep.py sweep.yaml
"""

import sys

from modelzoo_runner.legacy import kubeflow

runs = kubeflow.recommended(
    imagenet="/root/imagenet_dataset",
    coco="gs://my-bucket/coco/val2017",
)

pipeline = kubeflow.sweep_pipeline(
    runs,
    kubeflow.Pod(
        # The digest that `docker push` printed.
        image="registry.example.org/modelzoo-runner@sha256:" + "0" * 64,
        cpu="24",
        memory="50G",
        data={"imagenet": "/root/imagenet_dataset"},
        volumes={"cache": "/cache"},
    ),
)

if __name__ == "__main__":
    print(kubeflow.write(pipeline, sys.argv[1]))
