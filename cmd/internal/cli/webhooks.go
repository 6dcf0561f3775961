package cli

// webhooksCmd are the tools for webhooks.
type webhooksCmd struct {
	Add        webhooksAddCmd        `cmd:"" help:"Post events to a URL, and print the secret that signs them."`
	Ls         webhooksLsCmd         `cmd:"" help:"List the webhooks, with their states."`
	Set        webhooksSetCmd        `cmd:"" help:"Change the URL or the limits of a webhook."`
	Pause      webhooksPauseCmd      `cmd:"" help:"Pause deliveries to a webhook until you resume it."`
	Resume     webhooksResumeCmd     `cmd:"" help:"Resume deliveries to a paused or disabled webhook."`
	Rotate     webhooksRotateCmd     `cmd:"" help:"Give a webhook a new secret, and print it."`
	Rm         webhooksRmCmd         `cmd:"" help:"Remove a webhook and its position."`
	Deliveries webhooksDeliveriesCmd `cmd:"" help:"List the last deliveries to a webhook, or the events that were given up."`
	Redeliver  webhooksRedeliverCmd  `cmd:"" help:"Deliver events to one webhook again."`
	Test       webhooksTestCmd       `cmd:"" help:"Deliver a test event to a webhook, and print the response."`
}
