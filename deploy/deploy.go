// Package deploy has the documentation for operators, which the console shows.
package deploy

import _ "embed"

// README is deploy/README.md.
//
//go:embed README.md
var README string
