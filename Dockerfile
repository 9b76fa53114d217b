# Stature's one image: `docker run IMAGE serve`, `docker run IMAGE train`, and every other command of `stature`.
#
# The builder makes a virtual environment from the locked requirements and this project's wheel; the image takes that
# folder and nothing else, so no build tool comes along. Both stages stand on the same Python.
ARG PYTHON_IMAGE=python:3.13-slim
# Which locked requirements go in: `runtime`, or `object-storage` for a registry at s3://, gs:// or az://.
ARG REQUIREMENTS=runtime

FROM ${PYTHON_IMAGE} AS builder
ARG REQUIREMENTS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/stature \
    && /opt/build/bin/pip --python /opt/stature/bin/python install --quiet --require-hashes -r "requirements/${REQUIREMENTS}.txt"
COPY LICENSE README.md pyproject.toml ./
COPY model/ model/
COPY service/ service/
RUN /opt/build/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/stature/bin/python install --quiet --no-deps dist/stature-*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Stature" \
      org.opencontainers.image.description="A prediction service with a model registry" \
      org.opencontainers.image.licenses="Apache-2.0"
# The registry's folder belongs to the user of the image: a new volume that is mounted there takes its owner over.
# The official image leaves out the standard library's bytecode, and on a read-only file system every start would
# compile it anew.
RUN groupadd --gid 10001 stature \
    && useradd --uid 10001 --gid stature --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin stature \
    && install --directory --owner stature --group stature /var/lib/stature/registry \
    && python -m compileall -q -x '/(test|tests|idlelib|lib2to3|site-packages)/' \
       "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=builder /opt/stature /opt/stature
ENV PATH=/opt/stature/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    STATURE_HOST=0.0.0.0 \
    STATURE_PORT=8000 \
    STATURE_REGISTRY=/var/lib/stature/registry
WORKDIR /var/lib/stature
# By number, so that a cluster can see that it is not root.
USER 10001:10001
EXPOSE 8000
# Ready, and not merely alive: Docker does not restart a container for being unhealthy, and who asks for its health
# (`up --wait`, `depends_on`, a load balancer) wants to know whether it predicts. A registry that cannot be reached does
# not make a service unready that has a model in memory. No proxy: the engine may hand its own to every container.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ['STATURE_PORT']}/readyz\", timeout=2)"]
ENTRYPOINT ["stature"]
CMD ["serve"]
