package cli

import (
	"clientele/cmd/internal/manual"

	"github.com/alecthomas/kong"
)

// manCmd writes the manual pages, which packages contain.
type manCmd struct {
	Dir string `arg:"" type:"path" predictor:"file" help:"Directory for the pages. It is created."`
}

// Help is printed by --help.
func (*manCmd) Help() string {
	return `Examples:

  clientele man pages
  man -l pages/clientele-serve.1`
}

// Run writes a page for each command.
func (c *manCmd) Run(parsed *kong.Context) error {
	return manual.Write(parsed.Model, manual.Config{
		Version: buildVersion(),
		ExitStatuses: []manual.ExitStatus{
			{Status: ExitOK, Meaning: "The command succeeded."},
			{Status: ExitError, Meaning: "The command failed. Standard error says why, and what to do."},
			{Status: ExitUsage, Meaning: "The command line is not valid."},
			{Status: ExitUnhealthy, Meaning: "status and doctor only: a check found a failure."},
		},
	}, c.Dir)
}
