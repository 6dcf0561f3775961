package cli

import (
	"fmt"
)

// lostError is a part that is missing beside others that are there.
type lostError struct{ err error }

func (e *lostError) Error() string {
	return fmt.Sprintf("%v: run clientele migrate (with the same --data-dir, --nats-url and --database-url) to create it empty, if you "+
		"cannot restore it: the others exist, so it was lost", e.err)
}
