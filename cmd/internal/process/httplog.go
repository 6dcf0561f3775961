package process

import (
	"log"
	"strings"

	"github.com/rs/zerolog"
)

// newHTTPLog returns a logger for the errors of net/http. It logs them at level debug: they concern single connections, which
// often fail.
func newHTTPLog(logger zerolog.Logger) *log.Logger { return log.New(httpLog{logger}, "", 0) }

type httpLog struct{ log zerolog.Logger }

func (l httpLog) Write(line []byte) (int, error) {
	l.log.Debug().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
