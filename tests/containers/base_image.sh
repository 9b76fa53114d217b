#!/usr/bin/env bash
# Makes sure that the image a Dockerfile starts from is there: base_image.sh IMAGE
#
# It is there already, or pulled, or, where no image can be pulled, made from Debian's packages under the same name, so
# that the Dockerfile knows nothing of it. Says which on standard output. Wants the environment that engine.sh prints.
set -euo pipefail

image=${1:?"usage: base_image.sh IMAGE"}
directory=${STATURE_ENGINE_DIR:?"the environment that engine.sh prints is missing"}
suite=trixie # its Python is 3.13
case ${image%%:*} in
  python) packages=python3,python3-venv ;;
  nginx) packages=nginx-light ;;
  *) echo "base_image.sh: there is no stand-in for $image" >&2; exit 1 ;;
esac
archive=$directory/base-$suite-${image%%:*}.tar
pull_seconds=60

if origin=$(docker image inspect --format '{{ index .Config.Labels "stand-in" }}' "$image" 2>/dev/null); then
  echo "$image: there already${origin:+, a stand-in, made from Debian}"
  exit
fi
if timeout "$pull_seconds" docker pull --quiet "$image" >/dev/null 2>&1; then
  echo "$image: pulled"
  exit
fi

mkdir -p "$directory"
if [ ! -s "$archive" ]; then
  if ! command -v mmdebstrap >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap; } \
      >"$directory/install.log" 2>&1 || { tail -n 1 "$directory/install.log" >&2; exit 1; }
  fi
  # Certificate authorities that this machine trusts on top of Debian's are trusted in the stand-in too: where no image
  # can be pulled, packages mostly come through a proxy that signs with one of its own.
  # shellcheck disable=SC2016 # "$1" is the hook's: the folder of the new system
  mmdebstrap --quiet --format=tar --variant=minbase --include="ca-certificates,$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='find /usr/local/share/ca-certificates -name "*.crt" -exec cp {} "$1/usr/local/share/ca-certificates/" ";"' \
    --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
    --customize-hook='for name in python python3; do ln -s /usr/bin/python3 "$1/usr/local/bin/$name"; done' \
    "$suite" "$archive.part" >&2
  mv "$archive.part" "$archive"
fi
docker import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' --change 'LABEL stand-in=debian' "$archive" "$image" >/dev/null
echo "$image: a stand-in, made from Debian $suite"
