#!/bin/sh
# Stops the service before its removal: remove is of Debian, 0 of RPM. On an upgrade, postinstall.sh restarts it.
set -e
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now clientele.service
  fi
  ;;
esac
