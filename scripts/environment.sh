# Sourced by the other scripts: `prepare run` or `prepare dev` makes .venv with what requirements/run.txt or dev.txt lists, and
# the page, if it is missing or older than its sources; `prepare dev` also the browser that the tests drive. `prepare_apart NAME`
# makes .venv-NAME with what requirements/NAME.txt lists, for what cannot or should not be in one environment with ours.
# Needs Python 3.11 or later, and the first time the package indexes. Later calls find it ready and need neither time nor network.

cd "$(dirname "$0")/.." || exit 1

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Error: no Python 3.11 or later was found."
    say "Try: install one, or name it: PYTHON=/path/to/python3.11 $0"
    exit 1
}

fingerprint() {
    "$1" -c 'import hashlib, pathlib, sys; print(hashlib.sha256(b"".join(pathlib.Path(p).read_bytes() for p in sys.argv[1:])).hexdigest())' \
        "requirements/$2.txt" pyproject.toml
}

is_ready() {
    [ -x .venv/bin/python ] && [ -f ".venv/ready-$1" ] && [ "$(cat ".venv/ready-$1")" = "$(fingerprint .venv/bin/python "$1")" ]
}

prepare() {
    install_packages "$1"
    .venv/bin/python dashboard/build.py || exit 1
    [ "$1" = run ] || .venv/bin/python tac_bootstrap_cli/tests/browser/chromium.py || exit 1
}

install_packages() {
    if is_ready "$1" || { [ "$1" = run ] && is_ready dev; }; then return; fi
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python) || exit 1
        say "Setting up .venv with $python …"
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            say "Error: this Python cannot make virtual environments."
            say "Try: apt install python3-venv, or name another: PYTHON=/path/to/python3.11 $0"
            exit 1
        fi
    fi
    say "Installing what requirements/$1.txt lists …"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$1.txt" || exit 1
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . || exit 1
    fingerprint .venv/bin/python "$1" > ".venv/ready-$1"
}

# Wheels only, and not compiled, as most of it is never imported: half of the time and of the room.
prepare_apart() {
    apart=".venv-$1"
    if [ -x "$apart/bin/python" ] && cmp -s "requirements/$1.txt" "$apart/ready"; then return; fi
    say "Setting up $apart with what requirements/$1.txt lists …"
    rm -rf "$apart"
    .venv/bin/python -m venv "$apart" || exit 1
    "$apart/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: --require-hashes \
        -r "requirements/$1.txt" || exit 1
    cp "requirements/$1.txt" "$apart/ready"
}
