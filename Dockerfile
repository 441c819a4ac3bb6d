# syntax=docker/dockerfile:1
# Images of the worker. Targets: worker (the default), comfyui, swarmui, fast, full, and light, which is the worker
# without a trainer. docs/howto/image.md explains how to choose and build one.

# CUDA 13.0, as in AI Toolkit's own image; the wheels bring the other CUDA libraries. It needs host driver 580 or newer.
ARG BASE_IMAGE=nvidia/cuda:13.0.3-runtime-ubuntu24.04
ARG FAST_BASE_IMAGE=python:3.12-slim-bookworm

# --- base: the system, and a user to run as -----------------------------------------------------------------------
FROM ${BASE_IMAGE} AS base
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# tini reaps processes that ComfyUI and trainers leave behind; startup.sh uses git and curl; the font labels grids. The base image is pinned, and
# with it the versions of the system's packages.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates curl fonts-dejavu-core git procps python3 python3-venv tini util-linux \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --shell /usr/sbin/nologin lorapod

# --- dependencies: what the package needs, in its own virtual environment -----------------------------------------
FROM base AS dependencies
# Extras of the package: `parquet` reads tables of images. `builtin`, which needs torch, is in the targets that train.
ARG EXTRAS=redis,parquet,notify
WORKDIR /app
# First the dependencies, which change rarely; then our own code.
COPY pyproject.toml requirements.lock ./
COPY client client
COPY scripts/requirements.py scripts/
RUN python3 -m venv /opt/lorapod \
    && python3 scripts/requirements.py "${EXTRAS}" >/tmp/requirements.txt \
    && /opt/lorapod/bin/pip install --constraint requirements.lock --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# --- torch: the same environment with what generates, compares and captions ---------------------------------------
FROM dependencies AS torch
# `builtin` installs the diffusers engine, the captioner and the builtin trainer, with torch: about 5 GB.
ARG TORCH_EXTRAS=builtin
RUN python3 scripts/requirements.py "${TORCH_EXTRAS}" >/tmp/requirements.txt \
    && /opt/lorapod/bin/pip install --constraint requirements.lock --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# --- lorapod: the package itself ----------------------------------------------------------------------------------
FROM dependencies AS lorapod
COPY README.md LICENSE ./
COPY Backend Backend
RUN /opt/lorapod/bin/pip install --no-deps ./client .
COPY SimpleBackend SimpleBackend
COPY FastBackend FastBackend
COPY startup.sh ./

# --- light: the worker without a trainer --------------------------------------------------------------------------
FROM lorapod AS light
ARG VERSION=0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="lorapod" \
      org.opencontainers.image.description="RunPod serverless worker for LoRA trainings" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# At DEBUG, its default, the RunPod SDK prints every answer in full.
ENV RUNPOD_DEBUG_LEVEL=INFO PATH=/opt/lorapod/bin:${PATH}
HEALTHCHECK --interval=30s --timeout=15s --start-period=30m --retries=3 CMD ["/app/startup.sh", "healthy"]
ENTRYPOINT ["tini", "--", "/app/startup.sh"]

# --- ai-toolkit: the trainer in its own environment ---------------------------------------------------------------
FROM base AS ai-toolkit
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake ffmpeg libgl1 libglib2.0-0 python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app/ai-toolkit
# 0.12.26. The hash of the commit is the checksum of everything that is fetched.
ARG AI_TOOLKIT_COMMIT=27a03a91f23eb1b757d5ec2e80ee3e129cfcc350
ARG AI_TOOLKIT_REPOSITORY=https://github.com/ostris/ai-toolkit.git
# torch in a layer of its own, because it is large and changes rarely. These three versions belong together (cu130).
RUN python3 -m venv venv \
    && venv/bin/pip install torch==2.13.0 torchvision==0.28.0 torchaudio==2.11.0
RUN git init -q . \
    && git fetch -q --depth 1 "${AI_TOOLKIT_REPOSITORY}" "${AI_TOOLKIT_COMMIT}" \
    && git checkout -q FETCH_HEAD -- requirements.txt requirements_base.txt \
    && venv/bin/pip install --requirement requirements.txt \
    && venv/bin/pip install setuptools==69.5.1 torchcodec==0.15.0
# The image does not need its user interface, nor Node.
RUN git checkout -q --detach FETCH_HEAD && rm -rf ui .git

# --- comfyui-source: ComfyUI in its own environment ---------------------------------------------------------------
FROM base AS comfyui-source
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ffmpeg libgl1 libglib2.0-0 python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app/ComfyUI
# 0.38.1; every release since 0.3.64 is served.
ARG COMFYUI_COMMIT=20ca544ee0436721d8eb5f544665e490609f72c8
ARG COMFYUI_REPOSITORY=https://github.com/Comfy-Org/ComfyUI.git
RUN python3 -m venv .venv \
    && .venv/bin/pip install torch==2.13.0 torchvision==0.28.0 torchaudio==2.11.0
RUN git init -q . \
    && git fetch -q --depth 1 "${COMFYUI_REPOSITORY}" "${COMFYUI_COMMIT}" \
    && git checkout -q FETCH_HEAD -- requirements.txt \
    && .venv/bin/pip install --requirement requirements.txt
RUN git checkout -q --detach FETCH_HEAD && rm -rf .git

# --- swarmui-source: SwarmUI, built -------------------------------------------------------------------------------
FROM base AS swarmui-source
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends dotnet-sdk-8.0 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app/SwarmUI
# 0.9.8.2
ARG SWARMUI_COMMIT=062407c7bb488fc76ac61044cb929f0d0a30e60f
ARG SWARMUI_REPOSITORY=https://github.com/mcmonkeyprojects/SwarmUI.git
# It asks git which commit it runs, so that stays.
RUN git init -q . \
    && git fetch -q --depth 1 "${SWARMUI_REPOSITORY}" "${SWARMUI_COMMIT}" \
    && git checkout -q --detach FETCH_HEAD \
    && dotnet build src/SwarmUI.csproj --configuration Release -o src/bin/live_release \
    && git rev-parse HEAD >src/bin/last_build \
    && rm -rf src/obj

# --- comfyui: generation with ComfyUI -----------------------------------------------------------------------------
FROM light AS comfyui
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ffmpeg libgl1 libglib2.0-0 python3-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=comfyui-source --chown=lorapod:lorapod /app/ComfyUI /app/ComfyUI
# Extensions (custom nodes), as COMFYUI_NODES at runtime: docs/howto/comfyui.md. One that cannot be installed ends the build.
ARG COMFYUI_NODES=
RUN if [ -n "${COMFYUI_NODES}" ]; then \
        COMFYUI_PATH=/app/ComfyUI python -m lorapod.engines.comfyui.extensions --in-place "${COMFYUI_NODES}" \
        && chown -R lorapod:lorapod /app/ComfyUI/custom_nodes; \
    fi
ENV START_COMFYUI=true COMFYUI_PATH=/app/ComfyUI ENGINE=comfyui

# --- swarmui: generation with SwarmUI, which uses ComfyUI ---------------------------------------------------------
FROM comfyui AS swarmui
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends aspnetcore-runtime-8.0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=swarmui-source --chown=lorapod:lorapod /app/SwarmUI /app/SwarmUI
ENV START_SWARMUI=true SWARMUI_PATH=/app/SwarmUI ENGINE=swarmui

# --- full: everything ---------------------------------------------------------------------------------------------
FROM swarmui AS full
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
COPY --from=torch /opt/lorapod /opt/lorapod
COPY --from=ai-toolkit --chown=lorapod:lorapod /app/ai-toolkit /app/ai-toolkit
# The endpoint chooses which servers run.
ENV START_COMFYUI=false START_SWARMUI=false ENGINE=auto AI_TOOLKIT_PATH=/app/ai-toolkit

# --- fast: answers at once and prepares the rest on the volume ----------------------------------------------------
FROM ${FAST_BASE_IMAGE} AS fast
ARG VERSION=0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="lorapod-fast" \
      org.opencontainers.image.description="RunPod serverless worker for LoRA trainings, on a slim Python" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl procps tini util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /usr/sbin/nologin lorapod
WORKDIR /app
COPY FastBackend/requirements.lock FastBackend/
# Install only the SDK; the rest of the lock is installed on the volume.
RUN python3 -m venv /opt/lorapod \
    && /opt/lorapod/bin/pip install --constraint FastBackend/requirements.lock runpod
COPY Backend Backend
COPY FastBackend FastBackend
COPY startup.sh ./
ENV HANDLER=fast RUNPOD_DEBUG_LEVEL=INFO
HEALTHCHECK --interval=30s --timeout=15s --start-period=5m --retries=3 CMD ["/app/startup.sh", "healthy"]
ENTRYPOINT ["tini", "--", "/app/startup.sh"]

# --- worker: trainings with AI Toolkit; the last target is the default of `docker build` --------------------------
FROM light AS worker
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake ffmpeg libgl1 libglib2.0-0 python3-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=torch /opt/lorapod /opt/lorapod
COPY --from=ai-toolkit --chown=lorapod:lorapod /app/ai-toolkit /app/ai-toolkit
ENV AI_TOOLKIT_PATH=/app/ai-toolkit
