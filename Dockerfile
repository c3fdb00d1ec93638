# This library with TensorFlow, to run in by itself or with docker_image= (see docs/containers.md):
#   docker build -t modelzoo-runner .
#   docker run --rm modelzoo-runner benchmark resnet50 --weights random --batch-size 1
# Another extra for pipelines: docker build --build-arg EXTRAS=tensorflow,kubeflow -t modelzoo-runner .
#
# The packages are those of requirements/dev.txt, and so is what builds this library. The base is a tag,
# which gets Debian's and Python's security fixes; for an image that can be built again as it was, give
# its digest: docker build --build-arg BASE=python@sha256:... (docker image inspect python:3.12-slim
# prints it).
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
ARG EXTRAS=tensorflow
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements/dev.txt ./
COPY src src
COPY presets presets
ENV PIP_CONSTRAINT=/source/dev.txt
RUN python -m venv /opt/modelzoo-runner \
    && /opt/modelzoo-runner/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM ${BASE}
# The mallocs that a run can ask for, and the program that binds memory.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libjemalloc2 libtcmalloc-minimal4 numactl \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/modelzoo-runner /opt/modelzoo-runner
RUN useradd --create-home --uid 1000 runner && install -d -o runner -g runner /cache
ENV PATH=/opt/modelzoo-runner/bin:$PATH \
    MODELZOO_RUNNER_CACHE=/cache \
    PYTHONUNBUFFERED=1
USER runner
WORKDIR /home/runner
VOLUME /cache
ENTRYPOINT ["modelzoo-runner"]
CMD ["--help"]
