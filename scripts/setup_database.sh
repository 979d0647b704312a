#!/bin/sh
# Makes the store, or brings it up to date, and prints where it is: scripts/setup_database.sh [PATH]
# Without PATH, TAC_ORCHESTRATOR_DB says where it is, else it is adws/schema/orchestrator.db in this project. Nothing is ever
# destroyed: a store is copied before its schema changes, and a file that is not one of ours is left as it is.
set -eu

case ${1:-} in
    -h | --help)
        sed -n '2,4s/^# //p' "$0"
        exit 0
        ;;
esac
if [ $# -gt 1 ] || [ "${1-x}" = "" ]; then
    echo "Error: one path is taken." >&2
    echo "Try: $0 adws/schema/orchestrator.db" >&2
    exit 2
fi

# Paths are meant from where the caller is.
absolute() {
    case $1 in
        /* | *://*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$PWD/$1" ;;
    esac
}
if [ $# -eq 1 ]; then
    TAC_ORCHESTRATOR_DB=$(absolute "$1")
elif [ -n "${TAC_ORCHESTRATOR_DB:-}" ]; then
    TAC_ORCHESTRATOR_DB=$(absolute "$TAC_ORCHESTRATOR_DB")
fi
export TAC_ORCHESTRATOR_DB

. "$(dirname "$0")/environment.sh"
prepare run
.venv/bin/tac-orch db migrate >&2
.venv/bin/tac-orch db path
