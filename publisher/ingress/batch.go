package ingress

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// batchSlots is how many slots a batch occupies: it needs about as much memory as this many requests with one client.
const batchSlots = 8

// batch is POST /api/v2/clients/batch. It answers the lines that have arrived while it reads further ones.
func (a *api) batch(w http.ResponseWriter, r *http.Request, call access.Call) {
	if len(r.Header.Values("Idempotency-Key")) > 0 {
		problem.IdempotencyKey.Write(w, "send a key on each line of a batch, as idempotencyKey")
		return
	}
	validateOnly, err := request.ValidateOnly(r.URL.RawQuery)
	if err != nil {
		problem.Query.Write(w, err.Error())
		return
	}
	lines, ok := request.ReadLines(w, r)
	if !ok {
		return
	}
	defer lines.Close()
	out := results{w: w, control: http.NewResponseController(w), count: a.countLine, hold: lines.Sending}
	counted := true // the first line, against the rate limit, by the middleware
	for {
		texts, end := lines.Next(a.stopping)
		switch {
		case r.Context().Err() != nil && !isLate(end):
			if !out.begun {
				request.HungUp(w, r)
			}
			return
		case end != nil && len(texts) == 0:
			out.end(*end)
			return
		case len(texts) == 0:
			_ = out.flush()
			return
		}
		if err := out.write(a.processLines(r, call, texts, counted, validateOnly)); err != nil {
			return // the caller has hung up, or does not read
		}
		counted = false
	}
}

// isLate reports whether the body has ended because it did not arrive in time. Then net/http cancels the context of the request, as if
// its caller had hung up.
func isLate(end *problem.Document) bool { return end != nil && end.Status == http.StatusRequestTimeout }

func newLineCounter(metrics prometheus.Registerer) *prometheus.CounterVec {
	lines := promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "clientele_http_batch_lines_total", Help: "Lines of batches, by the status of their result.",
	}, []string{"code"})
	lines.WithLabelValues(strconv.Itoa(http.StatusAccepted)) // so that the metric exists before the first batch
	return lines
}

func (a *api) countLine(status int) { a.lines.WithLabelValues(strconv.Itoa(status)).Inc() }

// line is a line of a batch.
type line struct {
	command  domain.CreateClient
	accepted accepted
	refused  *problem.Document // why the command was not sent to the log
	err      error             // why the log did not accept it
}

// processLines accepts the clients of these lines, unless it only validates them, and returns the results of the lines.
func (a *api) processLines(r *http.Request, call access.Call, texts [][]byte, counted, validateOnly bool) []result {
	now := time.Now()
	lines := make([]line, len(texts))
	var commands []*line
	for i, text := range texts {
		l := &lines[i]
		if p, ok := a.readLine(l, call, text, now, counted && i == 0); !ok {
			l.refused = &p
			continue
		}
		commands = append(commands, l)
	}
	if !validateOnly {
		a.acceptLines(r, call.Caller, commands)
		a.logFailures(lines)
	}
	results := make([]result, len(lines))
	for i := range lines {
		results[i] = lines[i].result(validateOnly)
	}
	return results
}

// acceptLines accepts the commands of these lines. They reach the log at the same time, so that they share its syncs.
func (a *api) acceptLines(r *http.Request, caller auth.Caller, commands []*line) {
	ids := make([]uuid.UUID, len(commands))
	for i, l := range commands {
		ids[i] = l.command.ID
	}
	// Lines that have arrived are accepted even if the next one is late, see isLate.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptTimeout)
	defer cancel()
	earlier := a.earlier(ctx, ids...)
	for len(commands) > 0 {
		var group sync.WaitGroup
		first, later := firstOfEach(commands)
		for _, l := range first {
			group.Go(func() {
				if l.accepted, l.err = a.accept(ctx, l.command, earlier); l.err == nil {
					a.repair(ctx, caller, l.command, l.accepted)
				}
			})
		}
		group.Wait()
		commands = later
	}
}

// firstOfEach returns the first line of each id, and the other lines: of two lines with one key, the first is to win.
func firstOfEach(lines []*line) (first, later []*line) {
	seen := make(map[uuid.UUID]bool, len(lines))
	for _, l := range lines {
		if seen[l.command.ID] {
			later = append(later, l)
		} else {
			first, seen[l.command.ID] = append(first, l), true
		}
	}
	return first, later
}

// readLine reads the command of a line. If it cannot, or the rate limit of the caller does not admit it, it returns false and the
// problem.
func (a *api) readLine(l *line, call access.Call, text []byte, now time.Time, admitted bool) (problem.Document, bool) {
	if !admitted {
		if p, ok := call.Admit(); !ok {
			return p, false
		}
	}
	if len(text) > request.MaxLine {
		return request.TooLarge, false
	}
	parsed, err := domain.ParseLine(text, now)
	key := ""
	if parsed.Key != nil {
		key = *parsed.Key
		if err := request.CheckKey(key); err != nil {
			return problem.IdempotencyKey.With(err.Error()), false
		}
	}
	if parsed.Size > request.MaxBody {
		return request.TooLarge, false
	}
	if err == nil {
		l.command, err = a.newCommand(call.Caller, key, parsed.Details, now)
	}
	if err != nil {
		return problemOf(err), false
	}
	return problem.Document{}, true
}

// logFailures writes one line for the commands that the log did not accept for a reason of the service.
func (a *api) logFailures(lines []line) {
	failed := 0
	var first error
	for i := range lines {
		if err := lines[i].err; err != nil && problem.Of(err).Document().Status >= http.StatusInternalServerError {
			failed++
			first = cmp.Or(first, err)
		}
	}
	if failed > 0 {
		a.logger.Warn().Err(first).Int("count", failed).Str("code", string(domain.CodeOf(first))).Msg("cannot accept commands of a batch")
	}
}

// result is the result of a line.
type result struct {
	Status     int `json:"status"`
	RetryAfter int `json:"retryAfter,omitzero"`
	Body       any `json:"body"`
}

func (l *line) result(validateOnly bool) result {
	switch {
	case l.refused != nil:
		return resultOf(*l.refused)
	case validateOnly:
		return result{Status: http.StatusOK, Body: isValid}
	case l.err != nil:
		return resultOf(problemOfCommand(l.accepted.operation, l.err))
	}
	return result{Status: http.StatusAccepted, Body: l.accepted.body()}
}

func resultOf(p problem.Document) result {
	return result{Status: p.Status, RetryAfter: p.RetryAfter, Body: p}
}

// results writes the results of a batch.
type results struct {
	w       http.ResponseWriter
	control *http.ResponseController
	count   func(status int)
	hold    func() bool // reports whether the caller may not be reading yet
	begun   bool
	body    []byte // results that are not written yet
}

// maxHeld is how many bytes of results wait for the caller to read.
const maxHeld = 1 << 20

// write writes results at once, or holds them back.
func (o *results) write(results []result) error {
	for _, r := range results {
		if err := o.add(r); err != nil {
			return err
		}
	}
	if o.hold() && len(o.body) < maxHeld {
		return nil
	}
	return o.flush()
}

func (o *results) add(r result) error {
	text, err := json.Marshal(r)
	o.body = append(append(o.body, text...), '\n')
	o.count(r.Status)
	return err
}

// flush writes the results that are left, and the headers before the first ones.
func (o *results) flush() error {
	if !o.begun {
		o.begun = true
		problem.WriteHeader(o.w, http.StatusOK, request.MediaTypeLines)
	}
	_, err := o.w.Write(o.body)
	o.body = o.body[:0]
	return cmp.Or(err, o.control.Flush())
}

// end writes the problem that ends the batch: as the response if there was no result yet.
func (o *results) end(p problem.Document) {
	if !o.begun && len(o.body) == 0 {
		p.Write(o.w)
		return
	}
	_ = o.add(resultOf(p))
	_ = o.flush() // an error means that the caller has hung up
}
