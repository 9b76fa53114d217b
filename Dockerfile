# Stature's two images, by target; `serve` without one:
#
#   serve   what answers, and nothing else: `serve`, and the commands that read the registry and move its aliases
#   train   the same, and what trains: `docker run IMAGE train`
#
# Each takes one folder from its builder, a virtual environment made of locked requirements and this project's wheel, so
# that no build tool comes along. All stages stand on the same Python. An image that is built twice is the same, but for
# the times of its files.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/build.txt requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/stature

FROM tools AS wheel
COPY LICENSE README.md pyproject.toml ./
COPY model/ model/
COPY service/ service/
# Git knows the version, and its history does not come here. Empty: the image says 0.0.0.
ARG STATURE_VERSION
RUN ${STATURE_VERSION:+env SETUPTOOLS_SCM_PRETEND_VERSION=$STATURE_VERSION} \
    /opt/build/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .

# What only tests, compilers and type checkers read is taken out of the packages. Bytecode is not tied to the time of its
# source, so that it is the same in each build, and never looked after.
FROM tools AS serving
COPY requirements/serving.txt requirements/
COPY deploy/image/install.sh ./
RUN ./install.sh --require-hashes --requirement requirements/serving.txt
COPY --from=wheel /build/dist dist
RUN ./install.sh --no-deps dist/stature-*.whl

FROM tools AS training
COPY requirements/object-storage.txt requirements/
COPY deploy/image/install.sh ./
RUN ./install.sh --require-hashes --requirement requirements/object-storage.txt
COPY --from=wheel /build/dist dist
RUN ./install.sh --no-deps dist/stature-*.whl

FROM ${PYTHON_IMAGE} AS base
LABEL org.opencontainers.image.title="Stature" \
      org.opencontainers.image.description="A prediction service with a model registry" \
      org.opencontainers.image.licenses="Apache-2.0"
# The registry's folder belongs to the user of the image: a new volume that is mounted there takes its owner over.
RUN export SOURCE_DATE_EPOCH=0 \
    && groupadd --gid 10001 stature \
    && useradd --uid 10001 --gid stature --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin stature \
    && install --directory --owner stature --group stature /var/lib/stature/registry
ENV PATH=/opt/stature/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    STATURE_HOST=0.0.0.0 \
    STATURE_PORT=8000 \
    STATURE_REGISTRY=/var/lib/stature/registry
WORKDIR /var/lib/stature
EXPOSE 8000
ENTRYPOINT ["stature"]

FROM base AS train
COPY --from=training /opt/stature /opt/stature
# The official image leaves out the bytecode of the standard library, and on a read-only file system every start would
# compile anew what it imports. This leaves the bytecode of what is imported, and of nothing else.
RUN python -c 'import service.server, gunicorn.app.wsgiapp, service.flask_server, uvloop, model.cli, model.training.job'
ENV PYTHONDONTWRITEBYTECODE=1
# By number, so that a cluster can see that it is not root.
USER 10001:10001
CMD ["train"]

FROM base AS serve
COPY --from=serving /opt/stature /opt/stature
RUN python -c 'import service.server, gunicorn.app.wsgiapp, service.flask_server, uvloop, model.cli.group, model.cli.serving'
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# Ready, and not merely alive: Docker does not restart a container for being unhealthy, and who asks for its health
# (`up --wait`, `depends_on`, a load balancer) wants to know whether it predicts. A registry that cannot be reached does
# not make a service unready that has a model in memory. No proxy: the engine may hand its own to every container.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ['STATURE_PORT']}/readyz\", timeout=2)"]
CMD ["serve"]
