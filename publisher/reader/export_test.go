package reader

// ReadUpTo sets the sequence of the last event, as if the server of the consumer had received fewer events than the leader.
func (r *Reader) ReadUpTo(last uint64) { r.last = last }

// ReadTo returns the sequence of the last event that was read, or where the reader began.
func (r *Reader) ReadTo() uint64 { return r.read }
