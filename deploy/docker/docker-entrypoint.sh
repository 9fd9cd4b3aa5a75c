#!/bin/sh
# Options alone are for the server; anything else is a command to run instead, a shell for example.
set -e

if [ $# -eq 0 ] || [ "${1#-}" != "$1" ]; then
  set -- nats-streaming-server "$@"
fi

exec "$@"
