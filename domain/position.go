package domain

// Position says how much of the events stream a database has: the clients of all events up to a sequence.
type Position struct {
	// Stream identifies the stream; "" is none.
	Stream string
	// Sequence is that of the last event, 0 for none, or PositionEnd.
	Sequence int64
	// Server identifies the database server that stored the position. Another one has it after a failover, or a restore.
	Server string
}

// PositionEnd is the Sequence of a database that was complete before it had a position: it has all events on the stream.
const PositionEnd = -1
