# Sourced by the other scripts: makes .venv beside them, once, with exactly what the lock file names.
# usage: environment runtime|dev
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

find_python() {
  for candidate in "${RT_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  echo "error: rt needs Python 3.11 or newer, and found none; name one with RT_PYTHON=/path/to/python3" >&2
  exit 2
}

environment() {
  wanted=$1
  stamp="$root/.venv/.installed-$wanted"
  digest=$(cat "$root/pyproject.toml" "$root/requirements/$wanted.txt" | cksum)
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$digest" ] || [ ! -x "$root/.venv/bin/rt" ]; then
    # a lock of the kernel, so that two scripts started at once make one environment; it goes with this shell
    mkdir -p "$root/.venv"
    exec 9>"$root/.venv.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if [ ! -x "$root/.venv/bin/python" ]; then
      python=$(find_python)
      echo "making $root/.venv with $("$python" --version)" >&2
      if ! "$python" -m venv "$root/.venv"; then
        echo "error: this Python cannot make an environment; on Debian: apt-get install python3-venv" >&2
        exit 2
      fi
    fi
    echo "installing what requirements/$wanted.txt names" >&2
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      --requirement "$root/requirements/$wanted.txt"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      --requirement "$root/requirements/build.txt"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
      --no-index --editable "$root"
    printf '%s' "$digest" >"$stamp"
    exec 9>&-
  fi
  PATH="$root/.venv/bin:$PATH"
  export PATH
}
