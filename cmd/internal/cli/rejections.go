package cli

// rejectionsCmd are the operator's commands for rejected commands. They do not wait for servers.
type rejectionsCmd struct {
	Ls     rejectionsLsCmd     `cmd:"" help:"List rejections, without personal data."`
	Show   rejectionsShowCmd   `cmd:"" help:"Show one rejection."`
	Retry  rejectionsRetryCmd  `cmd:"" help:"Put rejected commands on the log again, after you have removed the cause."`
	Export rejectionsExportCmd `cmd:"" help:"Print the clients of rejected commands, to correct and import them."`
	Drop   rejectionsDropCmd   `cmd:"" help:"Permanently delete rejections and their commands."`
}
