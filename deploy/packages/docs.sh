#!/bin/sh
# Writes the manual pages and the completions of a version into .tools/docs, for archives and packages: docs.sh VERSION
set -eu
cd "$(dirname "$0")/../.."
docs=.tools/docs
rm -rf $docs
mkdir -p $docs/completions
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X clientele/cmd/internal/cli.version=$1" -o $docs/clientele ./cmd/clientele
$docs/clientele man $docs/man
for shell in bash zsh fish; do
  $docs/clientele completion $shell --program clientele >$docs/completions/clientele.$shell
done
