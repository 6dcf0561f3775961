package cli

// eventsCmd are the tools for events.
type eventsCmd struct {
	Tail        eventsTailCmd        `cmd:"" help:"Print events as they are published."`
	Replay      eventsReplayCmd      `cmd:"" help:"Publish client.created again for clients created in a period."`
	Subscribe   eventsSubscribeCmd   `cmd:"" help:"Create the durable consumer of a subscriber."`
	Unsubscribe eventsUnsubscribeCmd `cmd:"" help:"Delete the durable consumer of a subscriber."`
	Ls          eventsLsCmd          `cmd:"" help:"List the durable consumers of subscribers."`
}
