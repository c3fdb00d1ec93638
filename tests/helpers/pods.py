"""A pod of Kubernetes that says something of everything a pod can say."""

from __future__ import annotations

from modelzoo_runner.scale.pod import Pod

PINNED = "registry.example.org/runner@sha256:" + "0123456789abcdef" * 4

POD = Pod(
    image=PINNED,
    cpu="8",
    memory="16G",
    node_selector={"kind": "large"},
    data={"imagenet": "/data"},
    volumes={"cache": "/cache"},
    secret="account",
)
