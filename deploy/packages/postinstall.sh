#!/bin/sh
# Creates the group of deploy/systemd, and restarts the service if it runs. The first start is up to the operator.
set -e
if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers clientele.conf
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart clientele.service
fi
