package cli

// clientsCmd are the operator's commands for clients.
type clientsCmd struct {
	Find clientsFindCmd `cmd:"" help:"Find clients by e-mail address or name, without printing personal data."`
	Show clientsShowCmd `cmd:"" help:"Show one client."`
}
