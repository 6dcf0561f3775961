package cli

// eventsCmd are the tools for events.
type eventsCmd struct {
	Tail    eventsTailCmd    `cmd:"" help:"Show events as they come."`
	Replay  eventsReplayCmd  `cmd:"" help:"Send client.created again for the clients of a time: to its stream, or to another subject."`
	Forward eventsForwardCmd `cmd:"" help:"Send every event to an HTTP URL, at least once: for subscribers without NATS."`
}
