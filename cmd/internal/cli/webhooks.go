package cli

// webhooksCmd are the tools for webhooks.
type webhooksCmd struct {
	Add        webhooksAddCmd        `cmd:"" help:"Post events to a URL, and print the secret that signs them."`
	Ls         webhooksLsCmd         `cmd:"" help:"List the webhooks, with their states."`
	Set        webhooksSetCmd        `cmd:"" help:"Change the URL or the limits of a webhook."`
	Pause      webhooksPauseCmd      `cmd:"" help:"Deliver nothing to a webhook for a while. Its events wait."`
	Resume     webhooksResumeCmd     `cmd:"" help:"Deliver to a webhook again that is paused or disabled."`
	Rotate     webhooksRotateCmd     `cmd:"" help:"Give a webhook a new secret, and print it."`
	Rm         webhooksRmCmd         `cmd:"" help:"Remove a webhook and its position."`
	Deliveries webhooksDeliveriesCmd `cmd:"" help:"List the last deliveries to a webhook, or the events that were given up."`
	Redeliver  webhooksRedeliverCmd  `cmd:"" help:"Deliver events to one webhook again."`
	Test       webhooksTestCmd       `cmd:"" help:"Deliver a test event to a webhook, and print the response."`
}
