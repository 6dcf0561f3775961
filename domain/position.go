package domain

import (
	"strconv"
	"strings"
)

// Position says how much of the events stream a database has: the clients of all events up to a sequence.
type Position struct {
	// Stream identifies the stream; "" is none.
	Stream string
	// Sequence is that of the last event, 0 for none, or PositionEnd.
	Sequence int64
	// Server identifies the database server that stored the position. Another one has it after a failover, or a restore.
	Server string
	// Since is the sequence up to which this server had all clients when it took the place of another one. Clients of later events may
	// be on the other one only, if a worker stayed connected to it.
	Since int64
}

// sinceSeparator is between the server and the sequence in a stored place. No server contains it.
const sinceSeparator = "@"

// Place returns Server and Since as one string, which SetPlace reads.
func (p *Position) Place() string {
	return p.Server + sinceSeparator + strconv.FormatInt(p.Since, 10)
}

// SetPlace sets Server and Since. Since is 0, which is always safe, if the place has none.
func (p *Position) SetPlace(place string) {
	server, since, _ := strings.Cut(place, sinceSeparator)
	p.Server = server
	p.Since, _ = strconv.ParseInt(since, 10, 64)
}

// PositionEnd is the Sequence of a database that was complete before it had a position: it has all events on the stream.
const PositionEnd = -1
