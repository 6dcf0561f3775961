package cli

import (
	"fmt"
)

// lostError is a part that is missing beside others that are there.
type lostError struct{ err error }

func (e *lostError) Error() string {
	return fmt.Sprintf("%v (with the same --data-dir, --nats-url and --database-url) to make it anew, empty, if you cannot bring it "+
		"back: the rest is there, so it was lost", e.err)
}
