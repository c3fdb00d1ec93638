# This library with TensorFlow, to run in by itself or with docker_image= (see docs/containers.md):
#   docker build -t modelzoo-runner .
#   docker run --rm modelzoo-runner benchmark resnet50 --weights random --batch-size 1
# Another extra for pipelines: docker build --build-arg EXTRAS=tensorflow,kubeflow -t modelzoo-runner .
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ARG EXTRAS=tensorflow
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY presets presets
RUN python -m venv /opt/modelzoo-runner \
    && /opt/modelzoo-runner/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
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
